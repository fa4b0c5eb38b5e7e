"""GET /api/v1/jobs/{job_id}/deliveries, and jobs that name a webhook."""

from __future__ import annotations

import uuid

import pytest
from pydantic import SecretStr

from faces_jobs_web.services import EXTENSION
from tests.unit.web.conforming import client_of
from tests.unit.web.conftest import MakeApp
from tests.unit.web.media_files import upload
from tests.unit.web.problems import assert_problem

JOBS = "/api/v1/jobs"
SECRET = SecretStr("whsec_" + "A" * 44)


def test_the_webhooks_of_a_job_are_listed(make_app: MakeApp) -> None:
    client = client_of(make_app(webhook_secret=SECRET))
    fields = {"files": upload(), "webhook": "https://example.org/hook?x=1"}
    job = client.post(JOBS, data=fields).json
    assert job["options"]["webhook"] == "https://example.org/hook?x=1"
    address = f"{JOBS}/{job['id']}/deliveries"
    assert client.get(address).json == {"deliveries": [], "next_cursor": None}

    client.post(f"{JOBS}/{job['id']}/cancel")

    (delivery,) = client.get(address).json["deliveries"]
    assert delivery["event"] == "job.cancelled"
    assert delivery["state"] == "waiting"
    assert delivery["url"] == fields["webhook"]
    assert delivery["attempts"] == []
    assert_problem(client.get(f"{JOBS}/{uuid.uuid4()}/deliveries"), 404, "not-found")
    assert_problem(client.get(f"{address}?cursor=x"), 422, "invalid-options")
    client.delete(f"{JOBS}/{job['id']}")
    assert_problem(client.get(address), 404, "not-found")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("https://127.0.0.1/", "not public"),
        ("https://example.org:22/", "port 22"),
        ("javascript:alert(1)", "must be a URL"),
    ],
)
def test_a_webhook_with_a_forbidden_address_is_rejected(
    make_app: MakeApp, url: str, message: str
) -> None:
    app = make_app(webhook_secret=SECRET)
    response = client_of(app).post(JOBS, data={"files": upload(), "webhook": url})
    assert_problem(response, 422, "invalid-options")
    assert message in response.json["fields"]["webhook"]
    assert not list(app.extensions[EXTENSION].storage.folder.glob("jobs/*"))


def test_a_webhook_is_rejected_if_the_server_has_no_secret(make_app: MakeApp) -> None:
    response = client_of(make_app()).post(
        JOBS, data={"files": upload(), "webhook": "https://example.org/"}
    )
    assert_problem(response, 422, "invalid-options")
    assert "FACES_JOBS_WEBHOOK_SECRET" in response.json["fields"]["webhook"]

"""Settings are typed and frozen; invalid ones are refused and named."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from faces_jobs.errors import SettingsError
from faces_jobs.settings import Settings

TOKEN = "a-token-of-enough-characters"


def read(**variables: str) -> Settings:
    """Settings from environment variables, given in lower case and without their prefix."""
    return Settings.from_environment({f"FACES_JOBS_{k.upper()}": v for k, v in variables.items()})


def test_the_defaults_need_no_server() -> None:
    settings = Settings.from_environment({})
    assert settings.database.startswith("sqlite:////")
    assert settings.broker_url == ""
    assert settings.host == "127.0.0.1"
    assert settings.roots == {}


def test_values_are_typed() -> None:
    settings = read(port="9001", device="cpu", lease_seconds="60")
    assert (settings.port, settings.device, settings.lease_seconds) == (9001, "cpu", 60.0)
    assert settings.server == "http://127.0.0.1:9001"


@pytest.mark.parametrize(
    ("host", "server"),
    [
        ("::1", "http://[::1]:8000"),
        ("localhost", "http://localhost:8000"),
        ("192.0.2.7", "http://192.0.2.7:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("::", "http://[::1]:8000"),
    ],
)
def test_clients_find_the_server_where_it_is_bound(host: str, server: str) -> None:
    settings = read(host=host, access_token="0123456789abcdef")
    assert settings.server == server
    elsewhere = read(
        host=host, access_token="0123456789abcdef", server_url="https://faces.example/"
    )
    assert (elsewhere.server, elsewhere.own_server) == ("https://faces.example", server)


@pytest.mark.parametrize("text", ["", "0", "off", "0.5", "gender=0.7,multiple=0.5,age=0.4"])
def test_thresholds_are_kept_as_they_are_written(text: str) -> None:
    assert read(unsure_below=text).unsure_below == text


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        read().port = 1


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"port": "many"}, "FACES_JOBS_PORT"),
        ({"port": "70000"}, "FACES_JOBS_PORT"),
        ({"device": "tpu"}, "FACES_JOBS_DEVICE"),
        ({"prot": "8000"}, "FACES_JOBS_PROT is not a setting. Did you mean FACES_JOBS_PORT?"),
        ({"zzz": "1"}, "FACES_JOBS_ZZZ is not a setting. docs/settings.md"),
        ({"access_token": "short"}, "FACES_JOBS_ACCESS_TOKEN"),
        ({"access_token": "ein-Schlüssel-der-lang-ist"}, "FACES_JOBS_ACCESS_TOKEN: .* ASCII"),
        ({"access_token": "long-enough\tbut-with-a-tab"}, "FACES_JOBS_ACCESS_TOKEN: .* ASCII"),
        ({"access_token": "sixteen letters "}, "FACES_JOBS_ACCESS_TOKEN: .* blanks at its ends"),
        ({"host": "0.0.0.0"}, "FACES_JOBS_ACCESS_TOKEN"),
        ({"unsure_below": "often"}, "FACES_JOBS_UNSURE_BELOW: 'often' is not a probability"),
        ({"unsure_below": "1.5"}, "FACES_JOBS_UNSURE_BELOW"),
        ({"unsure_below": "mood=0.5"}, "'mood' is neither a model nor a head; known are gender"),
        ({"unsure_below": "age=0.5,age=0.6"}, "age is given twice"),
        ({"roots": "/srv/films"}, "FACES_JOBS_ROOTS"),
        ({"roots": '{"films": "films"}'}, "not an absolute path"),
        ({"roots": '{"films": "/nowhere"}'}, "not an absolute path of an existing folder"),
        ({"roots": '{"a/b": "/"}'}, "is not a valid root name"),
        (
            {"roots": '{"films": "/", "songs": 3}'},
            "FACES_JOBS_ROOTS is not a JSON object of names and folders",
        ),
        ({"roots": '["/srv/films"]'}, "FACES_JOBS_ROOTS is not a JSON object of names and folders"),
        ({"lease_seconds": "inf"}, "FACES_JOBS_LEASE_SECONDS"),
        *(
            ({"broker_url": url}, "FACES_JOBS_BROKER_URL")
            for url in (
                "amqp://host",
                "sqs://",
                "redis",
                "memory://",
                "redis://host:port/0",
                "redis://host:6379/jobs",
                "redis://:pass/word@host/0",
                "rediss://host/0?ssl_cert_reqs=no",
            )
        ),
        ({"sweep_seconds": "1e300"}, "FACES_JOBS_SWEEP_SECONDS"),
        (
            {"heartbeat_seconds": "20"},
            r"settings: FACES_JOBS_HEARTBEAT_SECONDS \(20\) .* half of .*_LEASE_SECONDS \(30\)",
        ),
        (
            {"server_url": "127.0.0.1:8000"},
            "FACES_JOBS_SERVER_URL: must be an http:// or https:// URL",
        ),
        ({"server_url": "http://"}, "FACES_JOBS_SERVER_URL: must be an http:// or https:// URL"),
        ({"storage": "s3:bucket"}, "FACES_JOBS_STORAGE: 's3:bucket' is neither `local` nor a URL"),
        ({"storage": "s3://bucket/../x"}, "is neither `local` nor a URL"),
        ({"s3_endpoint": "storage.example"}, "FACES_JOBS_S3_ENDPOINT: must be a URL"),
        ({"s3_endpoint": "http://storage.example"}, "would send everything unencrypted"),
        ({"s3_access_key_id": "AKIA"}, "_ACCESS_KEY_ID and .*_SECRET_ACCESS_KEY go together"),
        ({"acces_token_file": "/nowhere"}, "Did you mean FACES_JOBS_ACCESS_TOKEN?"),
        ({"access_token_file": "/nowhere/token"}, "FACES_JOBS_ACCESS_TOKEN_FILE"),
    ],
)
def test_an_invalid_variable_is_named(variables: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        read(**variables)


@pytest.mark.parametrize(
    "url",
    ["redis://", "redis://host", "redis://:p%2Fw@host:1/2", "rediss://h/?ssl_cert_reqs=required"],
)
def test_a_broker_may_have_a_password_a_port_and_a_number(url: str) -> None:
    assert read(broker_url=url).broker_url == url


def test_only_loopback_addresses_need_no_token() -> None:
    assert read(host="0.0.0.0", access_token=TOKEN).host == "0.0.0.0"
    for loopback in ("127.0.0.1", "127.8.8.8", "::1", "localhost"):
        assert read(host=loopback).host == loopback


def test_a_secret_may_be_read_from_a_file_and_is_not_in_the_repr(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n")
    settings = read(access_token_file=str(file))
    assert settings.access_token is not None
    assert settings.access_token.get_secret_value() == TOKEN
    assert TOKEN not in repr(settings)
    with pytest.raises(SettingsError, match="set twice"):
        read(access_token=TOKEN, access_token_file=str(file))
    file.write_bytes(b"\xff" * 20)
    with pytest.raises(SettingsError, match="not UTF-8"):
        read(access_token_file=str(file))


def test_roots_are_parsed_as_json(tmp_path: Path) -> None:
    assert read(roots=f'{{"films": "{tmp_path}"}}').roots == {"films": tmp_path}


@pytest.mark.parametrize(
    ("text", "bucket"),
    [
        ("local", None),
        ("s3://bucket", ("bucket", "")),
        ("s3://bucket/a/b/", ("bucket", "a/b/")),
    ],
)
def test_a_bucket_may_have_a_prefix(text: str, bucket: tuple[str, str] | None) -> None:
    assert read(storage=text).bucket == bucket


def test_empty_and_other_variables_are_left_out() -> None:
    settings = Settings.from_environment(
        {"PATH": "/bin", "FACES_JOBS_PORT": "", "FACES_JOBS_HOST": "::1"}
    )
    assert (settings.port, settings.host) == (8000, "::1")

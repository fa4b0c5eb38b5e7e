"""The examples of docs/api.md: what they name is set before, and what they show is so."""

from __future__ import annotations

import json
import re
from pathlib import Path

from faces_jobs.jobs.documents import FaceDocument, JobDocument

API = (Path(__file__).parents[3] / "docs/api.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", API, re.DOTALL)


def test_every_variable_is_set_before_it_is_used() -> None:
    known = {"FACES_JOBS_ACCESS_TOKEN"}
    for line in "".join(blocks("sh")).splitlines():
        for name in re.findall(r"\$(\w+)", line.partition("  #")[0]):
            assert name in known, line
        known |= set(re.findall(r"^(\w+)=", line))


def test_the_job_and_the_face_that_are_shown_are_such() -> None:
    shown = [json.loads(block) for block in blocks("json")]
    (job,) = (one for one in shown if "items_by_status" in one)
    (face,) = (one for one in shown if "box" in one)
    assert JobDocument.model_validate(job).model_fields_set == set(JobDocument.model_fields)
    assert FaceDocument.model_validate(face).model_fields_set == set(FaceDocument.model_fields)

"""The examples in docs/api.md: their variables are set before use, their documents are complete."""

from __future__ import annotations

import json
import re
from pathlib import Path

from faces_jobs.jobs.documents import FaceDocument, JobDocument

API = (Path(__file__).parents[3] / "docs/api.md").read_text(encoding="utf-8")


def code_blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", API, re.DOTALL)


def test_every_variable_is_set_before_it_is_used() -> None:
    known = {"FACES_JOBS_ACCESS_TOKEN"}
    for line in "".join(code_blocks("sh")).splitlines():
        for name in re.findall(r"\$(\w+)", line.partition("  #")[0]):
            assert name in known, line
        known |= set(re.findall(r"^(\w+)=", line))


def test_the_job_and_the_face_have_all_fields_of_their_documents() -> None:
    examples = [json.loads(block) for block in code_blocks("json")]
    (job,) = (example for example in examples if "items_by_status" in example)
    (face,) = (example for example in examples if "box" in example)
    assert JobDocument.model_validate(job).model_fields_set == set(JobDocument.model_fields)
    assert FaceDocument.model_validate(face).model_fields_set == set(FaceDocument.model_fields)

"""What is recorded about a run: its counters."""

from __future__ import annotations

from dataclasses import replace

from faces_jobs.counters import Counters
from faces_jobs.pipeline.values import RunReport
from faces_jobs.worker.facts import RunCounter


def test_the_figures_of_a_run_are_counted_once_however_often_they_are_reported() -> None:
    counters = Counters()
    for _run in range(2):
        count = RunCounter(counters)
        first = RunReport(8, 4, faces=3, tracks=0, stage_seconds={"detect": 0.5})
        count(first)
        count(replace(first, frames_read=10, stage_seconds={"detect": 0.75, "vote": 0.25}))
        count(replace(first, frames_read=10, stage_seconds={"detect": 0.75, "vote": 0.25}))
    assert counters.take() == {
        ("frames", ""): 20,
        ("faces", ""): 6,
        ("stage_seconds", "detect"): 1.5,
        ("stage_seconds", "vote"): 0.5,
    }

"""What a run tells beside its results: what the file is, which networks answered, how fast."""

from __future__ import annotations

from collections.abc import Sequence

from faces_jobs.db.outcomes import ItemFacts
from faces_jobs.jobs.records import ModelVersion
from faces_jobs.pipeline.stages import Classifier, Detector
from faces_jobs.pipeline.unsure import thresholds_of
from faces_jobs.pipeline.values import MediaInfo, RunReport
from faces_jobs.worker.resources import Worker

DETECTOR = "detector"


def count_run(report: RunReport, worker: Worker) -> None:
    """Add what a run did to this process's counters."""
    worker.counters.add("frames", report.frames_read)
    worker.counters.add("faces", report.faces)
    for stage, seconds in report.stage_seconds.items():
        worker.counters.add("stage_seconds", seconds, label=stage)


def facts_of(info: MediaInfo) -> ItemFacts:
    """What a file turned out to be."""
    return ItemFacts(
        kind=info.kind,
        format=info.format,
        width=info.width,
        height=info.height,
        duration_ms=info.duration_ms,
    )


def models_of(
    detector: Detector, classifiers: Sequence[Classifier], *said: str
) -> list[ModelVersion]:
    """The networks that answered, with the thresholds in force (see `thresholds_of`)."""
    found = ModelVersion(name=DETECTOR, version=detector.version, sha256=detector.sha256)
    return [
        found,
        *(
            ModelVersion(
                name=each.name,
                version=each.version,
                sha256=each.sha256,
                unsure_below=thresholds_of(each, *said),
            )
            for each in classifiers
        ),
    ]

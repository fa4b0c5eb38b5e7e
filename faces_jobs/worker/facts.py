"""What a run tells beside its results: what the file is, which networks answered, how fast."""

from __future__ import annotations

from faces_jobs.db.outcomes import ItemFacts
from faces_jobs.jobs.records import ModelVersion
from faces_jobs.pipeline.analysis import Analysis
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


def models_of(analysis: Analysis) -> list[ModelVersion]:
    """The networks that answer, with the thresholds in force."""
    detector = analysis.detector
    return [
        ModelVersion(name=DETECTOR, version=detector.version, sha256=detector.sha256),
        *(
            ModelVersion(
                name=each.name,
                version=each.version,
                sha256=each.sha256,
                unsure_below=analysis.thresholds_of(each),
            )
            for each in analysis.classifiers
        ),
    ]

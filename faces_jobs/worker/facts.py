"""What is recorded about a run besides its results: file facts, model versions and counters."""

from __future__ import annotations

from faces_jobs.db.results.outcomes import ItemFacts
from faces_jobs.jobs.records import ModelVersion
from faces_jobs.pipeline.analysis import Analysis
from faces_jobs.pipeline.values import MediaInfo, RunReport
from faces_jobs.worker.resources import Worker

DETECTOR = "detector"


def count_run(report: RunReport, worker: Worker) -> None:
    """Add a run's figures to this process's counters."""
    worker.counters.add("frames", report.frames_read)
    worker.counters.add("faces", report.faces)
    for stage, seconds in report.stage_seconds.items():
        worker.counters.add("stage_seconds", seconds, label=stage)


def facts_of(info: MediaInfo) -> ItemFacts:
    """The facts about a file, as read from its content."""
    return ItemFacts(
        kind=info.kind,
        format=info.format,
        width=info.width,
        height=info.height,
        duration_ms=info.duration_ms,
    )


def models_of(analysis: Analysis) -> list[ModelVersion]:
    """The networks of an analysis, with the thresholds in force."""
    detector = analysis.detector
    return [
        ModelVersion(name=DETECTOR, version=detector.version, sha256=detector.sha256),
        *(
            ModelVersion(
                name=classifier.name,
                version=classifier.version,
                sha256=classifier.sha256,
                unsure_below=analysis.thresholds_of(classifier),
            )
            for classifier in analysis.classifiers
        ),
    ]

"""What is recorded about a run besides its results: file facts, model versions and counters."""

from __future__ import annotations

from faces_jobs.counters import FRAMES, Counters
from faces_jobs.db.results.outcomes import ItemFacts
from faces_jobs.jobs.records import ModelVersion
from faces_jobs.pipeline.analysis import Analysis
from faces_jobs.pipeline.values import MediaInfo, RunReport

DETECTOR = "detector"


class RunCounter:
    """Adds a run's figures to the process's counters: during the run, so that none of it is missed.

    An instance serves one run. It is called with the figures so far, any number of times.
    """

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._counted: dict[tuple[str, str], float] = {}

    def __call__(self, report: RunReport) -> None:
        """Add what has come since the last call."""
        totals: dict[tuple[str, str], float] = {
            FRAMES: report.frames_read,
            ("faces", ""): report.faces,
            **{("stage_seconds", name): spent for name, spent in report.stage_seconds.items()},
        }
        for (name, label), total in totals.items():
            self._counters.add(name, total - self._counted.get((name, label), 0), label=label)
        self._counted = totals


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

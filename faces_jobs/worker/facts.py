"""What a run writes down beside its results: what the file is, and which networks answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from faces_jobs.db.endings import ItemFacts
from faces_jobs.jobs.records import ModelVersion
from faces_jobs.pipeline.stages import Classifier, Detector
from faces_jobs.pipeline.values import MediaInfo

DETECTOR = "detector"


def facts_of(info: MediaInfo) -> dict[str, Any]:
    """The facts of a file as JSON; `ItemFacts(**...)` reads them back."""
    return asdict(
        ItemFacts(
            kind=info.kind,
            format=info.format,
            width=info.width,
            height=info.height,
            duration_ms=info.duration_ms,
        )
    )


def models_of(detector: Detector, classifiers: Sequence[Classifier]) -> list[Mapping[str, str]]:
    """The networks as JSON; `ModelVersion(**...)` reads each back."""
    answered: list[Detector | Classifier] = [detector, *classifiers]
    names = [DETECTOR, *(each.name for each in classifiers)]
    return [
        asdict(ModelVersion(name=name, version=each.version, sha256=each.sha256))
        for name, each in zip(names, answered, strict=True)
    ]

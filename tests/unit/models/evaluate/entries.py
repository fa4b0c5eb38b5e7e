"""Random predictions and entries for the tests of tables, cards and plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from faces_jobs.jobs.labels import HEADS
from faces_jobs_models.training.evaluation.entries import (
    Entry,
    EvaluatedModel,
    entries_of,
    weights_of,
)
from faces_jobs_models.training.evaluation.folds import NO_FOLD
from faces_jobs_models.training.evaluation.predictions import FACE_SIZES, Predictions
from faces_jobs_models.weights import Calibration


def random_predictions(
    *heads: str, data_set: str = "faces", n: int = 60, groups: Mapping[str, str] | None = None
) -> Predictions:
    """Return random predictions that are mostly correct."""
    random = np.random.default_rng(7)
    views, truth, at_size = {}, {}, {}
    for head in heads:
        labels = len(HEADS[head])
        truth[head] = random.integers(0, labels, n)
        drawn = random.dirichlet(np.ones(labels), n) + 0.6 * np.eye(labels)[truth[head]]
        views[head] = (drawn / drawn.sum(axis=1, keepdims=True)).astype(np.float32)[None]
    for size in FACE_SIZES:
        at_size[size] = {head: view[0].argmax(axis=1) for head, view in views.items()}
    return Predictions(
        data_set=data_set,
        views=views,
        at_size=at_size,
        truth=truth,
        fold=np.where(np.arange(n) % 2 == 0, 0, NO_FOLD),
        found=np.ones(n, bool),
        group=np.array([str(face) for face in range(n)]),
        groups=[groups or {}] * n,
        size_px=np.zeros(n, np.int64),
        of_training=0,
        skipped={},
    )


def random_model(model: str, heads: Sequence[str], *, sha256: str = "ab" * 32) -> EvaluatedModel:
    """Return the model of the random predictions."""
    return EvaluatedModel(
        name=model,
        version="2.0",
        weights=weights_of(sha256, "default"),
        heads={head: HEADS[head] for head in heads},
        calibration=dict.fromkeys(heads, Calibration(1.5, 0.4)),
    )


def random_entries(
    *heads: str, data_set: str = "faces", sha256: str = "ab" * 32, n: int = 60
) -> list[Entry]:
    """Return the entries of random predictions."""
    return entries_of(
        random_model("any", heads, sha256=sha256),
        random_predictions(*heads, data_set=data_set, n=n, groups={"race": "asian"}),
    )

"""Plots of training and evaluation: curves, confusion matrix, reliability, risk and coverage."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from faces_jobs_models.training.evaluation.cross_fit import CrossFitted
from faces_jobs_models.training.evaluation.reliability import reliability_bins
from faces_jobs_models.training.evaluation.risk_coverage import at_threshold, risk_coverage

_DPI = 110
_WIDTH, _HEIGHT = 6.4, 4.4  # inches
_MIN_COVERAGE_OF_SCALE = 0.05


def draw_curves(path: Path, log: Path) -> None:
    """Plot the loss, and the accuracy on held-out faces, by epoch.

    Args:
        path: the PNG to write.
        log: the `log.jsonl` of a run.
    """
    entries = list(_entries_of(log))
    figure, (left, right) = _figure(2, width=2 * _WIDTH)
    epochs = [entry["epoch"] for entry in entries]
    left.plot(epochs, [entry["loss"] for entry in entries], marker="." if len(epochs) < 2 else "")
    left.set(title="Loss", xlabel="epoch", ylabel="loss on the training faces")
    lines: dict[str, list[tuple[int, float]]] = {}
    for entry in entries:
        for figures in entry.get("figures", []):
            name = f"{figures['head']}, {figures['data_set']}"
            lines.setdefault(name, []).append((entry["epoch"], figures["accuracy"]))
    for name, points in lines.items():
        right.plot(*zip(*points, strict=True), marker=".", label=name)
    right.set(title="Held-out faces", xlabel="epoch", ylabel="accuracy", ylim=(0, 1))
    if lines:
        right.legend(loc="lower right", fontsize="small")
    _save(figure, path)


def _entries_of(log: Path) -> Iterator[Any]:
    for line in log.read_text().splitlines():
        # Where the disk was full, a line may be cut off: its epoch gets no point.
        with suppress(ValueError):
            yield json.loads(line)


def draw_confusion(path: Path, confusion: Mapping[str, Mapping[str, int]], *, title: str) -> None:
    """Plot true against predicted labels: colours are shares of the row, numbers count faces."""
    rows = list(confusion)
    columns = list(next(iter(confusion.values()))) if confusion else []
    counts = np.array([[confusion[row][column] for column in columns] for row in rows])
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    side = max(_HEIGHT, 1.2 + 0.7 * len(columns))
    figure, (axes,) = _figure(
        1, width=side + 1.2, height=side * (0.4 + 0.6 * len(rows) / len(columns)) + 0.4
    )
    image = axes.imshow(shares, vmin=0, vmax=1, cmap="Blues", aspect="auto")
    figure.colorbar(image, ax=axes, label="share of the true label")
    axes.set(title=title, xlabel="predicted label", ylabel="true label")
    axes.set_xticks(range(len(columns)), columns, rotation=35, ha="right")
    axes.set_yticks(range(len(rows)), rows)
    axes.grid(visible=False)
    for (row, column), count in np.ndenumerate(counts):
        colour = "white" if shares[row, column] > 0.5 else "black"
        text = f"{shares[row, column]:.0%}\n{count}"
        axes.text(column, row, text, ha="center", va="center", color=colour, fontsize="small")
    _save(figure, path)


def draw_reliability(path: Path, cross_fitted: CrossFitted, *, title: str) -> None:
    """Plot accuracy against probability, with and without the temperature."""
    figure, (axes,) = _figure(1, width=_HEIGHT + 1)
    axes.plot([0, 1], [0, 1], color="gray", linestyle=":", label="perfectly calibrated")
    series = {
        "without temperature": cross_fitted.uncalibrated,
        "with temperature": cross_fitted.probabilities,
    }
    for name, probabilities in series.items():
        correct = probabilities.argmax(axis=1) == cross_fitted.truth
        bins = reliability_bins(probabilities.max(axis=1), correct)
        confidence, accuracy, share = (np.array(values) for values in zip(*bins, strict=True))
        (line,) = axes.plot(confidence, accuracy, label=name)
        axes.scatter(confidence, accuracy, s=8 + 250 * share, color=line.get_color(), alpha=0.6)
    axes.set(
        title=title,
        xlabel="probability of the predicted label",
        ylabel="accuracy",
        xlim=(0, 1),
        ylim=(0, 1),
    )
    axes.legend(loc="upper left", fontsize="small")
    _save(figure, path)


def draw_risk_coverage(
    path: Path, cross_fitted: CrossFitted, *, unsure_below: float, title: str
) -> None:
    """Plot risk (share of wrong predictions) against coverage (share of faces that get one).

    The marked point is at the faces' own cross-fitted thresholds; its label names the record's
    threshold, `unsure_below`.
    """
    confidence = cross_fitted.probabilities.max(axis=1)
    correct = cross_fitted.probabilities.argmax(axis=1) == cross_fitted.truth
    curve = risk_coverage(confidence, correct)
    figure, (axes,) = _figure(1)
    axes.plot(curve.coverage, curve.risk, drawstyle="steps-post")
    coverage, accuracy = at_threshold(confidence, correct, cross_fitted.unsure_below)
    if accuracy is not None:
        name = f"unsure below {unsure_below:.2f}" if unsure_below else "never unsure"
        axes.plot([coverage], [1 - accuracy], "o", color="tab:red", label=name)
        axes.legend(loc="upper left", fontsize="small")
    # The first few faces make steps as high as the plot: its scale ignores them.
    later = curve.risk[curve.coverage > _MIN_COVERAGE_OF_SCALE]
    highest = max([1 / len(correct), *later.tolist()])
    axes.set(
        title=title,
        xlabel="coverage: share of faces that get a label",
        ylabel="risk: share of these labels that are wrong",
        xlim=(0, 1.02),
        ylim=(0, 1.15 * highest),
    )
    _save(figure, path)


def _figure(
    count: int, *, width: float = _WIDTH, height: float = _HEIGHT
) -> tuple[Figure, Sequence[Axes]]:
    figure = Figure(figsize=(width, height), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)  # needs no window, and no global state as pyplot does
    grid: Any = figure.subplots(1, count, squeeze=False)
    for axes in grid[0]:
        axes.grid(visible=True, alpha=0.3)
    return figure, list(grid[0])


def _save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="png")

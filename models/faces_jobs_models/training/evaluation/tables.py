"""Figures as Markdown tables, as `faces-jobs evaluate` prints them and model cards contain them."""

from __future__ import annotations

from collections.abc import Sequence

from faces_jobs_models.training.evaluation.entries import Entry

_Row = Sequence[str]

_GROUP_TITLES = {"original_size_px": "height of the original face, px"}


def markdown_table(header: _Row, rows: Sequence[_Row]) -> str:
    """Format a table whose columns are padded; columns of numbers are aligned to the right."""
    columns = range(len(header))
    widths = [max(3, *(len(row[column]) for row in [header, *rows])) for column in columns]
    numeric = [
        all(row[column][:1].isdigit() or row[column] == "-" for row in rows) for column in columns
    ]
    rule = ["-" * (widths[column] - 1) + (":" if numeric[column] else "-") for column in columns]
    lines = []
    for row in (header, rule, *rows):
        cells = [
            row[column].rjust(widths[column])
            if numeric[column]
            else row[column].ljust(widths[column])
            for column in columns
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def tables_of(entries: Sequence[Entry]) -> str:
    """Format all figures of the entries as tables with titles."""
    tables = {
        "Accuracy": _accuracy(entries),
        "Recall of each label": _recall(entries),
        "Calibration": _calibration(entries),
        "Accuracy by height of the face": _sizes(entries),
        "Accuracy by group": _groups(entries),
    }
    return "\n".join(f"### {title}\n\n{table}" for title, table in tables.items() if table)


def percent(share: float | None) -> str:
    """Format a share as `97.3 %`, or None as a dash."""
    return "-" if share is None else f"{100 * share:.1f} %"


def percent_with(share: float, interval: Sequence[float]) -> str:
    """Format a share and its interval as `97.3 % (96.1-98.2)`."""
    low, high = interval
    return f"{percent(share)} ({100 * low:.1f}-{100 * high:.1f})"


def _head_and_data_set(entry: Entry) -> tuple[str, str]:
    variant = entry["weights"]["variant"]
    weights = "" if variant == "default" else f", {variant} weights"
    return entry["head"], entry["dataset"] + weights


def _accuracy(entries: Sequence[Entry]) -> str:
    header = (
        "head", "data set", "faces", "people", "accuracy", "balanced", "baseline", "undetected",
        "accuracy if detected",
    )  # fmt: skip
    return markdown_table(
        header,
        [
            (
                *_head_and_data_set(entry),
                str(entry["n"]),
                str(entry.get("people") or "-"),
                percent_with(entry["accuracy"], entry["accuracy_interval"]),
                percent_with(entry["balanced_accuracy"], entry["balanced_interval"]),
                percent(entry["baseline"]),
                str(entry["without_face"]),
                percent(entry.get("accuracy_found")),
            )
            for entry in entries
        ],
    )


def _recall(entries: Sequence[Entry]) -> str:
    rows = []
    for entry in entries:
        for label, share in entry["per_class"].items():
            wrong = {
                predicted: count
                for predicted, count in entry["confusion"][label].items()
                if predicted != label and count
            }
            most_frequent = max(wrong, key=lambda predicted: wrong[predicted], default="")
            rows.append(
                (
                    *_head_and_data_set(entry),
                    label,
                    str(entry["per_class_n"][label]),
                    percent_with(share, entry["per_class_interval"][label]),
                    f"{most_frequent} {wrong[most_frequent]}" if wrong else "",
                )
            )
    return markdown_table(
        ("head", "data set", "label", "faces", "recall", "most often mistaken for"), rows
    )


def _calibration(entries: Sequence[Entry]) -> str:
    return markdown_table(
        (
            "head", "data set", "faces", "ECE before", "ECE", "temperature", "unsure below",
            "coverage", "accuracy if covered",
        ),
        [
            (
                *_head_and_data_set(entry),
                str(entry["calibration_n"]),
                percent(entry["ece_before"]),
                percent(entry["ece"]),
                f"{entry['temperature']:.2f}",
                f"{entry['unsure_below']:.2f}",
                percent(entry["coverage"]),
                percent(entry["accuracy_answered"]),
            )
            for entry in entries
        ],
    )  # fmt: skip


def _sizes(entries: Sequence[Entry]) -> str:
    sizes = list(dict.fromkeys(size for entry in entries for size in entry["by"]["size_px"]))
    return markdown_table(
        ("head", "data set", *(f"{size} px" for size in sizes)),
        [
            (
                *_head_and_data_set(entry),
                *(percent(entry["by"]["size_px"][size]["accuracy"]) for size in sizes),
            )
            for entry in entries
        ],
    )


def _groups(entries: Sequence[Entry]) -> str:
    rows = [
        (
            *_head_and_data_set(entry),
            _GROUP_TITLES.get(kind, kind),
            value,
            str(figures["n"]),
            percent_with(figures["accuracy"], figures["accuracy_interval"]),
            percent(figures["balanced_accuracy"]),
        )
        for entry in entries
        for kind, by_value in entry["by"].items()
        if kind != "size_px"
        for value, figures in by_value.items()
    ]
    header = ("head", "data set", "by", "group", "faces", "accuracy", "balanced")
    return markdown_table(header, rows) if rows else ""

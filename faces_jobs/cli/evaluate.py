"""`faces-jobs evaluate`: measure a model on labelled pictures."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from faces_jobs.cli.extras import report_missing_packages
from faces_jobs.cli.training_options import (
    DETECTOR,
    check_labels_option,
    data_option,
    detector_option,
    labels_option,
    models_path_option,
    progress_bar,
)
from faces_jobs.errors import DataLayoutError
from faces_jobs.jobs.labels import MODELS
from faces_jobs.settings import DetectorName, Settings
from faces_jobs_models.training.label_choice import LabelChoice

if TYPE_CHECKING:
    from faces_jobs_models.catalog import Catalog
    from faces_jobs_models.training.evaluation.entries import Entry

FormatTables = Callable[[Sequence[Any]], str]
"""Formats entries of figures as tables in Markdown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateOptions:
    """The arguments of `faces-jobs evaluate`."""

    model: str
    data: Path
    labels: LabelChoice
    held_out: bool
    limit: int | None
    out: Path | None
    max_pixels: int


@click.command()
@click.argument("model", type=click.Choice([*MODELS, DETECTOR]))
@data_option
@labels_option
@click.option(
    "--held-out", is_flag=True, help="Measure only pictures that are held out from training."
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    help="Measure at most this many pictures of each data set, sampled evenly.",
)
@models_path_option
@detector_option
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, writable=True, path_type=Path),
    help="Folder for figures.json and plots: confusion, calibration, risk and coverage.",
)
@click.option(
    "--card",
    is_flag=True,
    help="Write the tables, and predictions for pictures that may be published, into the model's "
    "CARD.md. Refused if the pictures were used for training.",
)
@click.pass_obj
def evaluate(
    settings: Settings,
    /,
    *,
    models_path: Path | None,
    detector: DetectorName | None,
    as_json: bool,
    card: bool,
    **arguments: Any,
) -> None:
    """Measure MODEL on labelled pictures.

    Faces are cropped and classified as in a job. As labelled pictures are often cropped tightly,
    they are padded with black, and faces are detected down to lower scores. Prints accuracy,
    balanced accuracy and the recall of each label with 95 % intervals, the calibration of the
    probabilities, and figures by size of the face and by group of people.
    """
    options = EvaluateOptions(max_pixels=settings.max_pixels, **arguments)
    check_labels_option(options.model, options.labels)
    with report_missing_packages():
        from faces_jobs_models.catalog import open_catalog

        with open_catalog(
            device="cpu",
            models_folder=models_path or settings.models_folder,
            detector=detector or settings.detector,
        ) as catalog:
            measure = _measure_detector if options.model == DETECTOR else _measure_classifier
            entries, format_tables = measure(options, catalog)
            if options.out is not None:
                options.out.mkdir(parents=True, exist_ok=True)
                (options.out / "figures.json").write_text(json.dumps(entries, indent=1) + "\n")
            if card:
                _write_card(options, catalog, entries, format_tables)
    click.echo(json.dumps(entries, indent=2) if as_json else format_tables(entries).rstrip())


def _measure_classifier(
    options: EvaluateOptions, catalog: Catalog
) -> tuple[list[Any], FormatTables]:
    from faces_jobs_models.training.evaluation.measure import measure
    from faces_jobs_models.training.evaluation.predictions import Advance, Selection
    from faces_jobs_models.training.evaluation.tables import tables_of
    from faces_jobs_models.training.readers import open_data

    skipped: Counter[str] = Counter()
    data_sets = open_data(options.data, labels=options.labels, skipped=skipped)
    entries: list[Entry] = []
    face_count = of_training = 0
    with progress_bar() as bar:

        def begin(name: str) -> Advance:
            return partial(bar.advance, bar.add_task(name, total=options.limit))

        for measured in measure(
            catalog,
            options.model,
            data_sets,
            labels=options.labels,
            selection=Selection(
                held_out_only=options.held_out, limit=options.limit, max_pixels=options.max_pixels
            ),
            skipped=skipped,
            start_progress=begin,
        ):
            entries += measured.entries
            face_count += len(measured.predictions)
            of_training += measured.predictions.of_training
            if options.out is not None:
                from faces_jobs_models.training.evaluation.measurement_plots import draw_measurement

                draw_measurement(options.out, measured)
    _report_skipped(skipped)
    if not entries:
        raise DataLayoutError(
            f"No face in {options.data} has a known {' or '.join(MODELS[options.model])}"
            f"{' and is held out from training' if options.held_out else ''} "
            f"(data sets found: {', '.join(data_set.name for data_set in data_sets) or 'none'})."
        )
    if of_training:
        _warn_of_training_data(options.model, of_training, face_count, "faces")
    _warn_of_default_weights(options, entries)
    return entries, tables_of


def _measure_detector(options: EvaluateOptions, catalog: Catalog) -> tuple[list[Any], FormatTables]:
    from faces_jobs.jobs.spec import JobSpec
    from faces_jobs_models.training.detector.measure import (
        TRAINED_ON,
        detector_entry,
        detector_tables,
        run_detector,
    )
    from faces_jobs_models.training.evaluation.entries import weights_of
    from faces_jobs_models.training.evaluation.predictions import Selection
    from faces_jobs_models.training.readers import open_detection_data

    detector = catalog.detector()
    entries = []
    skipped: Counter[str] = Counter()
    data_sets = open_detection_data(options.data, skipped=skipped)
    for data_set in data_sets:
        skipped_before = Counter(skipped)
        with progress_bar() as bar:
            detector_run = run_detector(
                data_set,
                detector,
                selection=Selection(
                    trained_on=data_set.name == TRAINED_ON,
                    held_out_only=options.held_out,
                    limit=options.limit,
                    max_pixels=options.max_pixels,
                ),
                skipped=skipped,
                advance=partial(
                    bar.advance,
                    bar.add_task(data_set.name, total=options.limit or data_set.row_count),
                ),
            )
        if detector_run.face_count:
            entries.append(
                detector_entry(
                    detector_run,
                    data_set=data_set.name,
                    version=detector.version,
                    weights=weights_of(detector.sha256, detector.name),
                    threshold=JobSpec().detection_threshold,
                    skipped=skipped - skipped_before,
                )
            )
    _report_skipped(skipped)
    if not entries:
        raise DataLayoutError(
            f"No face of 20 pixels or more is marked in {options.data} "
            f"(data sets found: {', '.join(data_set.name for data_set in data_sets)})."
        )
    of_training = sum(entry["of_training"] for entry in entries)
    if of_training:
        pictures = sum(entry["pictures"] for entry in entries)
        _warn_of_training_data(DETECTOR, of_training, pictures, "pictures")
    return entries, detector_tables


def _warn_of_training_data(model: str, of_training: int, total: int, what: str) -> None:
    click.echo(
        f"{of_training} of these {total} {what} are training data of {model}, so the figures "
        "are too optimistic. --held-out leaves them out.",
        err=True,
    )


def _warn_of_default_weights(options: EvaluateOptions, entries: Sequence[Entry]) -> None:
    """Say so if other labels than the default were requested, but no weights exist for them."""
    from faces_jobs_models.training.evaluation.measure import DEFAULT_VARIANT

    data_sets = {
        entry["dataset"] for entry in entries if entry["weights"]["variant"] == DEFAULT_VARIANT
    }
    if options.labels == "fer2013" and options.labels in data_sets:
        click.echo(
            f"{options.model} has no weights that were trained with the labels "
            f"{options.labels}: the default ones were measured.",
            err=True,
        )


def _report_skipped(skipped: Counter[str]) -> None:
    from faces_jobs_models.training.readers import describe_skipped

    for line in describe_skipped(skipped):
        click.echo(line, err=True)


def _write_card(
    options: EvaluateOptions, catalog: Catalog, entries: list[Any], format_tables: FormatTables
) -> None:
    from faces_jobs_models.training.cards.card import write_card

    of_training = sum(entry.get("of_training", 0) for entry in entries)
    if of_training:
        raise click.UsageError(
            f"{of_training} of these faces are training data, which a card must not include: "
            "add --held-out."
        )
    folder = catalog.record(options.model).folder
    card = write_card(folder, entries, format_tables)
    if options.model != DETECTOR:
        from faces_jobs_models.training.cards.known_failures import write_known_failures

        (classifier,) = catalog.classifiers([options.model])
        write_known_failures(folder, classifier, catalog.detector())
    click.echo(f"wrote {card}", err=True)

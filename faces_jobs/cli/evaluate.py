"""`faces-jobs evaluate`: how often a model is right on labelled faces."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from faces_jobs.cli.extras import needing_packages
from faces_jobs.cli.training_options import (
    DETECTOR,
    data_option,
    detector_option,
    labels_option,
    models_path_option,
    progress_bar,
    refuse_other_labels,
)
from faces_jobs.errors import DataLayoutError
from faces_jobs.jobs.labels import MODELS
from faces_jobs.settings import DetectorName, Settings
from faces_jobs_models.training.label_choice import LabelChoice

if TYPE_CHECKING:
    from faces_jobs_models.catalog import Catalog
    from faces_jobs_models.training.entries import Entry

Tables = Callable[[Sequence[Any]], str]
"""Entries to Markdown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateOptions:
    """What the user asked for."""

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
@click.option("--held-out", is_flag=True, help="Measure only what training keeps back.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    help="Measure so many pictures of each data set, drawn evenly.",
)
@models_path_option
@detector_option
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for figures.json and pictures: confusion, calibration, risk and coverage.",
)
@click.option(
    "--card",
    is_flag=True,
    help="Write the tables, and answers to pictures that may be shown, into the model's CARD.md; "
    "refused where training has seen the pictures.",
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

    Faces are cut and asked about as a job's are; they are searched on a black ground and down to
    lower scores, since such pictures are cut tightly. Printed are accuracy, balanced accuracy and
    the recall of each label with 95 % intervals, how honest the probabilities are, and figures
    by size of the face and by group of people.
    """
    options = EvaluateOptions(max_pixels=settings.max_pixels, **arguments)
    refuse_other_labels(options.model, options.labels)
    with needing_packages():
        from faces_jobs_models.catalog import open_catalog

        with open_catalog(
            device="cpu",
            models_folder=models_path or settings.models_folder,
            detector=detector or settings.detector,
        ) as catalog:
            of_one = _detector if options.model == DETECTOR else _classifier
            entries, tables = of_one(options, catalog)
            if options.out is not None:
                options.out.mkdir(parents=True, exist_ok=True)
                (options.out / "figures.json").write_text(json.dumps(entries, indent=1) + "\n")
            if card:
                _write_card(options, catalog, entries, tables)
    click.echo(json.dumps(entries, indent=2) if as_json else tables(entries).rstrip())


def _classifier(options: EvaluateOptions, catalog: Catalog) -> tuple[list[Any], Tables]:
    from faces_jobs_models.training.measure import DEFAULT_VARIANT, measure
    from faces_jobs_models.training.predictions import Advance, Selection
    from faces_jobs_models.training.readers import open_data
    from faces_jobs_models.training.tables import tables_of

    skipped: Counter[str] = Counter()
    data_sets = open_data(options.data, labels=options.labels, skipped=skipped)
    entries: list[Entry] = []
    of_training = measured = 0
    with progress_bar() as bar:

        def begin(name: str) -> Advance:
            return partial(bar.advance, bar.add_task(name, total=options.limit))

        for one in measure(
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
            entries += one.entries
            measured += len(one.predictions)
            of_training += one.predictions.of_training
            if options.out is not None:
                from faces_jobs_models.training.measurement_plots import draw_measurement

                draw_measurement(options.out, one)
    _tell_skipped(skipped)
    if not entries:
        raise DataLayoutError(
            f"No face in {options.data} has a known {' or '.join(MODELS[options.model])}"
            f"{' and is kept back from training' if options.held_out else ''} "
            f"(data sets found: {', '.join(one.name for one in data_sets) or 'none'})."
        )
    if of_training:
        _tell_of_training(options.model, of_training, measured, "faces")
    usual = {
        entry["dataset"] for entry in entries if entry["weights"]["variant"] == DEFAULT_VARIANT
    }
    if options.labels == "fer2013" and options.labels in usual:
        click.echo(
            f"{options.model} has no weights that were trained with the labels "
            f"{options.labels}: the usual ones answered.",
            err=True,
        )
    return entries, tables_of


def _detector(options: EvaluateOptions, catalog: Catalog) -> tuple[list[Any], Tables]:
    from faces_jobs.jobs.spec import JobSpec
    from faces_jobs_models.training.detector.measure import (
        TRAINED_ON,
        detector_entry,
        detector_tables,
        run_detector,
    )
    from faces_jobs_models.training.entries import weights_of
    from faces_jobs_models.training.predictions import Selection
    from faces_jobs_models.training.readers import open_detection_data

    detector = catalog.detector()
    entries = []
    skipped: Counter[str] = Counter()
    data_sets = open_detection_data(options.data, skipped=skipped)
    for data_set in data_sets:
        before = Counter(skipped)
        with progress_bar() as bar:
            looked = run_detector(
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
        if looked.face_count:
            entries.append(
                detector_entry(
                    looked,
                    data_set=data_set.name,
                    version=detector.version,
                    weights=weights_of(detector.sha256, detector.name),
                    threshold=JobSpec().detection_threshold,
                    skipped=skipped - before,
                )
            )
    _tell_skipped(skipped)
    if not entries:
        raise DataLayoutError(
            f"No face of 20 pixels or more is marked in {options.data} "
            f"(data sets found: {', '.join(one.name for one in data_sets)})."
        )
    of_training = sum(entry["of_training"] for entry in entries)
    if of_training:
        pictures = sum(entry["pictures"] for entry in entries)
        _tell_of_training(DETECTOR, of_training, pictures, "pictures")
    return entries, detector_tables


def _tell_of_training(model: str, of_training: int, measured: int, what: str) -> None:
    click.echo(
        f"{of_training} of these {measured} {what} are ones that {model} is trained on: the "
        "figures are too good. --held-out leaves them out.",
        err=True,
    )


def _tell_skipped(skipped: Counter[str]) -> None:
    for reason, count in skipped.items():
        if count:
            click.echo(f"left out: {count} x {reason}", err=True)


def _write_card(
    options: EvaluateOptions, catalog: Catalog, entries: list[Any], tables: Tables
) -> None:
    from faces_jobs_models.training.cards import write_card

    seen = sum(entry.get("of_training", 0) for entry in entries)
    if seen:
        raise click.UsageError(
            f"A card holds no figures of the {seen} faces that training uses: add --held-out."
        )
    folder = catalog.record(options.model).folder
    card = write_card(folder, entries, tables)
    if options.model != DETECTOR:
        from faces_jobs_models.training.known_failures import write_known_failures

        (classifier,) = catalog.classifiers([options.model])
        write_known_failures(folder, classifier, catalog.detector())
    click.echo(f"written: {card}", err=True)

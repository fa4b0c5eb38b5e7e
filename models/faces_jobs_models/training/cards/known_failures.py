"""Writes a model's predictions for publishable example pictures into its card, failures first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2

from faces_jobs.jobs.labels import UNSURE
from faces_jobs.pipeline.protocols import Classifier, Detector
from faces_jobs_models.training.cards.card import CARD_NAME, replace_section
from faces_jobs_models.training.cards.example_pictures import Example, example_pictures
from faces_jobs_models.training.data.target_face import crop_target_faces
from faces_jobs_models.training.evaluation.tables import markdown_table

EXAMPLES_FOLDER = "examples"
START, END = "<!-- examples -->", "<!-- /examples -->"
MAX_SHOWN = 8


@dataclass(frozen=True, slots=True)
class ExamplePrediction:
    """One head's prediction for one picture.

    `reported` is what users would get: the label, or `unsure` below the head's threshold.
    """

    example: Example
    head: str
    label: str  # the most likely one
    probability: float
    reported: str
    found: bool  # whether the face was detected

    @property
    def truth(self) -> str:
        """The true label."""
        return self.example.truth[self.head]

    @property
    def is_wrong(self) -> bool:
        """Whether a label is reported, but not the true one."""
        return self.reported not in (UNSURE, self.truth)

    @property
    def is_unsure(self) -> bool:
        """Whether no label is reported."""
        return self.reported == UNSURE


def predict_examples(
    classifier: Classifier, detector: Detector, examples: Sequence[Example]
) -> list[ExamplePrediction]:
    """Predict each head of each picture that has a truth for it, with crops as at run time.

    If no face is detected, the whole picture is cropped.
    """
    pictures = [example.picture_bgr for example in examples]
    crops, detected = crop_target_faces(
        pictures, detector, scale=classifier.crop_scale, size=classifier.crop_size
    )
    predictions = []
    for example, found, opinion in zip(examples, detected, classifier.classify(crops), strict=True):
        for head, labels in classifier.heads.items():
            if head not in example.truth:
                continue
            best = int(opinion[head].argmax())
            probability = float(opinion[head][best])
            is_unsure = probability < classifier.unsure_below[head]
            predictions.append(
                ExamplePrediction(
                    example,
                    head,
                    labels[best],
                    probability,
                    UNSURE if is_unsure else labels[best],
                    found,
                )
            )
    return predictions


def write_known_failures(folder: Path, classifier: Classifier, detector: Detector) -> Path | None:
    """Write a table of predictions between the two marks of a card, and the pictures next to it.

    Args:
        folder: the model's, with a card.
        classifier: the model.
        detector: the run-time detector.

    Returns:
        The pictures' folder, or None if the card lacks the marks and so shows no examples.
    """
    card = folder / CARD_NAME
    if START not in card.read_text(encoding="utf-8"):
        return None
    examples = example_pictures()
    predictions = predict_examples(classifier, detector, examples)
    shown = _most_informative(examples, predictions)
    pictures = folder / EXAMPLES_FOLDER
    replace_section(card, START, END, _section(shown, predictions))
    pictures.mkdir(exist_ok=True)
    for old in pictures.glob("*.png"):
        old.unlink()
    for example in shown:
        _, data = cv2.imencode(".png", example.picture_bgr)
        (pictures / f"{example.name}.png").write_bytes(data.tobytes())
    return pictures


def _most_informative(
    examples: Sequence[Example], predictions: Sequence[ExamplePrediction]
) -> list[Example]:
    # The unmodified picture for comparison, then those with most wrong, then most unsure heads.
    def rank(example: Example) -> tuple[int, int]:
        own = [one for one in predictions if one.example is example]
        return -sum(one.is_wrong for one in own), -sum(one.is_unsure for one in own)

    ranked = [example for example in sorted(examples[1:], key=rank) if rank(example) != (0, 0)]
    return [examples[0], *ranked[: MAX_SHOWN - 1]]


def _section(shown: Sequence[Example], predictions: Sequence[ExamplePrediction]) -> str:
    rows = []
    for example in shown:
        own = [one for one in predictions if one.example is example]
        listed = [one for one in own if example is shown[0] or one.is_wrong or one.is_unsure]
        undetected = "" if all(one.found for one in own) else " (no face is detected)"
        rows.append(
            (
                f"![{example.description}]({EXAMPLES_FOLDER}/{example.name}.png)",
                example.description + undetected,
                "; ".join(map(_describe, listed)),
            )
        )
    wrong = sum(one.is_wrong for one in predictions)
    unsure = sum(one.is_unsure for one in predictions)
    pictures = len({one.example.name for one in predictions})
    counts = (
        f"{len(predictions)} predictions for {pictures} pictures: {wrong} wrong, {unsure} unsure."
    )
    legend = (
        "The table shows the unmodified picture, and those with most wrong or unsure predictions."
    )
    table = markdown_table(("picture", "change", "predictions"), rows)
    return f"{counts}\n{legend}\n\n{table}"


def _describe(prediction: ExamplePrediction) -> str:
    percent = f"{100 * prediction.probability:.0f} %"
    if prediction.is_wrong:
        return f"{prediction.head}: **{prediction.label}** ({percent}), truth: {prediction.truth}"
    if prediction.is_unsure:
        return (
            f"{prediction.head}: unsure ({prediction.label} {percent}), truth: {prediction.truth}"
        )
    return f"{prediction.head}: {prediction.label} ({percent})"

"""Shows in a model's card what it answers to pictures that may be shown, wrong answers first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2

from faces_jobs.jobs.labels import UNSURE
from faces_jobs.pipeline.stages import Classifier, Detector
from faces_jobs_models.training.cards import CARD_NAME, replace_section
from faces_jobs_models.training.example_pictures import Example, example_pictures
from faces_jobs_models.training.tables import markdown_table
from faces_jobs_models.training.target_face import crop_target_faces

EXAMPLES_FOLDER = "examples"
START, END = "<!-- examples -->", "<!-- /examples -->"
MAX_SHOWN = 8


@dataclass(frozen=True, slots=True)
class ExamplePrediction:
    """What one head says of one picture; `said` is `unsure` below the head's threshold."""

    example: Example
    head: str
    label: str  # the likeliest
    probability: float
    said: str
    found: bool  # whether the detector saw the face

    @property
    def is_wrong(self) -> bool:
        """Whether a label was given and is not the right one."""
        return self.said not in (UNSURE, self.example.truth[self.head])


def predict_examples(
    classifier: Classifier, detector: Detector, examples: Sequence[Example]
) -> list[ExamplePrediction]:
    """Each head's answer to each picture whose truth it has, cut as at run time.

    Where the detector finds no face, the whole picture is cut.
    """
    pictures = [example.picture_bgr for example in examples]
    crops, seen = crop_target_faces(
        pictures, detector, scale=classifier.crop_scale, size=classifier.crop_size
    )
    predictions = []
    for example, found, opinion in zip(examples, seen, classifier.classify(crops), strict=True):
        for head, labels in classifier.heads.items():
            if head not in example.truth:
                continue
            best = int(opinion[head].argmax())
            probability = float(opinion[head][best])
            unsure = probability < classifier.unsure_below[head]
            predictions.append(
                ExamplePrediction(
                    example,
                    head,
                    labels[best],
                    probability,
                    UNSURE if unsure else labels[best],
                    found,
                )
            )
    return predictions


def write_known_failures(folder: Path, classifier: Classifier, detector: Detector) -> Path | None:
    """Put pictures and answers between the two marks of a card, and the pictures beside it.

    Args:
        folder: the model's, with a card.
        classifier: the model.
        detector: the run-time one.

    Returns:
        The pictures' folder, or None: the card has no such marks, so it wants no examples.
    """
    card = folder / CARD_NAME
    if START not in card.read_text(encoding="utf-8"):
        return None
    examples = example_pictures()
    predictions = predict_examples(classifier, detector, examples)
    shown = _most_telling(examples, predictions)
    pictures = folder / EXAMPLES_FOLDER
    replace_section(card, START, END, _section(shown, predictions))
    pictures.mkdir(exist_ok=True)
    for old in pictures.glob("*.png"):
        old.unlink()
    for example in shown:
        _, data = cv2.imencode(".png", example.picture_bgr)
        (pictures / f"{example.name}.png").write_bytes(data.tobytes())
    return pictures


def _most_telling(
    examples: Sequence[Example], predictions: Sequence[ExamplePrediction]
) -> list[Example]:
    # The untouched one, to compare with; then those with most that is wrong; then the unsure ones.
    def weight(example: Example) -> tuple[int, int]:
        own = [answer for answer in predictions if answer.example is example]
        unsure = sum(answer.said == UNSURE for answer in own)
        return -sum(answer.is_wrong for answer in own), -unsure

    ranked = [example for example in sorted(examples[1:], key=weight) if weight(example) != (0, 0)]
    return [examples[0], *ranked[: MAX_SHOWN - 1]]


def _section(shown: Sequence[Example], predictions: Sequence[ExamplePrediction]) -> str:
    rows = []
    for example in shown:
        own = [answer for answer in predictions if answer.example is example]
        found = "" if all(answer.found for answer in own) else " (the detector finds no face)"
        rows.append(
            (
                f"![{example.what}]({EXAMPLES_FOLDER}/{example.name}.png)",
                example.what + found,
                "; ".join(_told(answer) for answer in own if _matters(answer, example, shown)),
            )
        )
    wrong = sum(answer.is_wrong for answer in predictions)
    unsure = sum(answer.said == UNSURE for answer in predictions)
    pictures = len({answer.example.name for answer in predictions})
    return (
        f"Answers to {pictures} pictures: {len(predictions)}. Wrong: {wrong}; `unsure`: {unsure}. "
        "Shown are the untouched\npicture, and those with most wrong or unsure answers.\n\n"
        + markdown_table(("picture", "what was done", "answers"), rows)
    )


def _matters(answer: ExamplePrediction, example: Example, shown: Sequence[Example]) -> bool:
    return example is shown[0] or answer.is_wrong or answer.said == UNSURE


def _told(answer: ExamplePrediction) -> str:
    right = answer.example.truth[answer.head]
    percent = f"{100 * answer.probability:.0f} %"
    if answer.is_wrong:
        return f"{answer.head}: **{answer.label}** ({percent}), right is {right}"
    if answer.said == UNSURE:
        return f"{answer.head}: unsure ({answer.label} {percent}), right is {right}"
    return f"{answer.head}: {answer.label} ({percent})"

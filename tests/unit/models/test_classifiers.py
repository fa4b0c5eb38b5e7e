"""Gender, expression and multiple: answers, shapes, and the same from both runtimes."""

from __future__ import annotations

import numpy as np
import pytest

from faces_jobs.jobs.labels import HEADS, MODELS
from faces_jobs.pipeline.crops import crop_faces
from faces_jobs.pipeline.mirrored import MirroredClassifier
from faces_jobs.pipeline.protocols import Classifier
from faces_jobs.pipeline.values import Picture
from faces_jobs_models.catalog import Catalog
from faces_jobs_models.classifier import to_batch
from faces_jobs_models.onnx_session import OnnxSession
from faces_jobs_models.torch_session import TorchSession

from .photographs import FACE_XYXY, astronaut_bgr

NAMES = tuple(MODELS)


@pytest.fixture(params=NAMES)
def classifier(request: pytest.FixtureRequest, catalog: Catalog) -> Classifier:
    (opened,) = catalog.classifiers([request.param])
    return opened


def best(catalog: Catalog, name: str) -> dict[str, str]:
    picture = astronaut_bgr()
    (found,) = catalog.detector().detect([picture])
    (classifier,) = catalog.classifiers([name])
    crops = crop_faces(
        picture, found.boxes_xyxy[:1], scale=classifier.crop_scale, size=classifier.crop_size
    )
    (opinion,) = classifier.classify(crops)
    return {
        head: classifier.heads[head][int(probabilities.argmax())]
        for head, probabilities in opinion.items()
    }


def test_eileen_collins_is_female(catalog: Catalog) -> None:
    assert best(catalog, "gender") == {"gender": "female"}


def test_eileen_collins_smiles(catalog: Catalog) -> None:
    assert best(catalog, "expression") == {"expression": "happiness"}


def test_eileen_collins_looks_ahead_with_a_bare_face_and_is_no_child(catalog: Catalog) -> None:
    said = best(catalog, "multiple")
    assert said["pose"] == "frontal"
    assert said["occlusion"] == "none"
    assert said["age"] in {"young", "middle"}


def test_heads_and_labels_are_those_of_the_jobs(classifier: Classifier) -> None:
    assert list(classifier.heads.items()) == list(MODELS[classifier.name].items())


def test_opinions_are_probabilities(classifier: Classifier) -> None:
    opinions = classifier.classify(noise(5, classifier.crop_size))
    assert len(opinions) == 5
    for opinion in opinions:
        assert list(opinion) == list(classifier.heads)
        for head, probabilities in opinion.items():
            assert probabilities.shape == (len(classifier.heads[head]),)
            assert probabilities.dtype == np.float32
            assert probabilities.min() >= 0
            assert probabilities.sum() == pytest.approx(1, abs=1e-5)


def test_a_crop_is_answered_alike_alone_and_in_any_batch(classifier: Classifier) -> None:
    crops = noise(37, classifier.crop_size)
    together = classifier.classify(crops)
    for index in (0, 15, 16, 36):
        (alone,) = classifier.classify([crops[index]])
        for head in classifier.heads:
            np.testing.assert_allclose(together[index][head], alone[head], atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_eight_bits_answer_as_floats_do(catalog: Catalog, name: str) -> None:
    record = catalog.record(name)
    assert record.input_size is not None
    crops = [*noise(8, record.input_size), *faces(8, record.input_size)]
    batch = to_batch(crops, record.input_size)
    by_onnx = OnnxSession(record.files["onnx"].path, name=name, threads=1).run(batch)
    by_torch = TorchSession(record, device="cpu").run(batch)
    for one, other in zip(by_onnx, by_torch, strict=True):
        np.testing.assert_allclose(one, other, atol=0.1)
        assert np.abs(one - other).mean() < 0.03


def test_no_crops_no_opinions(classifier: Classifier) -> None:
    assert classifier.classify([]) == []


@pytest.mark.parametrize(
    "shape",
    [
        (64, 64),
        (64, 64, 1),
        (1, 1, 3),
        (1, 1),
        (7, 300, 3),
        (4000, 3000),
        (4000, 3000, 3),
        (1, 70_000, 3),
        (70_000, 1),
    ],
)
def test_gray_tiny_huge_and_oblong_crops_are_converted(
    classifier: Classifier, shape: tuple[int, ...]
) -> None:
    (opinion,) = classifier.classify([np.full(shape, 90, np.uint8)])
    for probabilities in opinion.values():
        assert np.isfinite(probabilities).all()
        assert probabilities.sum() == pytest.approx(1, abs=1e-5)


def test_a_huge_crop_is_answered_as_its_small_copy(classifier: Classifier) -> None:
    (small,) = faces(1, 64)
    huge = np.repeat(np.repeat(small, 40, axis=0), 40, axis=1)
    one, other = classifier.classify([small, huge])
    for head in classifier.heads:
        np.testing.assert_allclose(one[head], other[head], atol=1e-4)


def test_a_gray_crop_is_the_same_as_its_three_equal_channels(classifier: Classifier) -> None:
    gray = noise(1, 64)[0][:, :, 0]
    one, other = classifier.classify([gray, np.stack([gray] * 3, axis=2)])
    for head in classifier.heads:
        np.testing.assert_allclose(one[head], other[head], atol=1e-6)


@pytest.mark.parametrize(
    "crop",
    [
        np.zeros((0, 64, 3), np.uint8),
        np.zeros((64, 64, 4), np.uint8),
        np.zeros((64, 64, 3), np.float32),
        np.zeros((64,), np.uint8),
        np.zeros((64, 64, 0), np.uint8),
        np.zeros((2, 64, 64, 3), np.uint8),
    ],
    ids=["no pixels", "alpha", "floats", "a row", "no channel", "two crops"],
)
def test_what_is_no_crop_is_refused(classifier: Classifier, crop: Picture) -> None:
    with pytest.raises(ValueError, match="crop"):
        classifier.classify([crop])


def noise(count: int, size: int) -> list[Picture]:
    random = np.random.default_rng(7)
    return list(random.integers(0, 256, (count, size, size, 3), np.uint8))


def faces(count: int, size: int) -> list[Picture]:
    boxes = np.array([[178 - k, 60 - 2 * k, 270 + k, 182 + k] for k in range(count)], np.float32)
    return crop_faces(astronaut_bgr(), boxes, scale=1.2, size=size)


def test_it_says_the_same_of_a_face_and_its_mirror_image(catalog: Catalog) -> None:
    left, top, right, bottom = (int(side) for side in FACE_XYXY)
    face = np.ascontiguousarray(astronaut_bgr()[top:bottom, left:right])
    for one in map(MirroredClassifier, catalog.classifiers(tuple(MODELS))):
        said, of_image = one.classify([face, np.ascontiguousarray(face[:, ::-1])])
        assert one.heads == MODELS[one.name]
        for head, probabilities in said.items():
            assert probabilities.sum() == pytest.approx(1, abs=1e-5)
            if head == "pose":
                order = [HEADS[head].index(one) for one in ("frontal", "right", "left")]
                assert np.allclose(probabilities[:3], of_image[head][order], atol=1e-6)
            else:
                assert np.allclose(probabilities, of_image[head], atol=1e-6)

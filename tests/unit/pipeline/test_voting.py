"""The settled attributes of a track, and its best shot."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from faces_jobs.jobs.labels import HEADS, UNSURE
from faces_jobs.jobs.records import Attributes, FaceRecord
from faces_jobs.pipeline.crops import crop_faces
from faces_jobs.pipeline.quality import CROP_SCALE, CROP_SIZE, sharpness_of, shot_quality
from faces_jobs.pipeline.values import Opinion
from faces_jobs.pipeline.voting import Votes, best_labels, weight_of
from tests import clips


def a_face(
    index: int = 0, *, track: int = 1, score: float = 0.9, side: float = 80.0, width: float = 0
) -> FaceRecord:
    box = (10, 10, 10 + (width or side), 10 + side)
    return FaceRecord(index, index * 40.0, 0, track, box, score, {})


def opinion_of(**heads: list[float]) -> Opinion:
    return {head: np.array(values, np.float32) for head, values in heads.items()}


FEMALE, MALE = opinion_of(gender=[0.9, 0.1]), opinion_of(gender=[0.2, 0.8])


def test_a_track_settles_to_the_mean_of_its_faces() -> None:
    votes = Votes({})
    for index in range(7):
        votes.add(a_face(index), FEMALE if index % 3 else MALE, 0.5)
    [track] = votes.tracks()
    assert track.attributes["gender"].label == "female"
    assert track.attributes["gender"].probability == pytest.approx((4 * 0.9 + 3 * 0.2) / 7)


def test_one_sure_face_does_not_veto_the_others() -> None:
    votes = Votes({})
    votes.add(a_face(0), opinion_of(gender=[1e-9, 1.0]), 0.5)
    for index in range(1, 4):
        votes.add(a_face(index), opinion_of(gender=[0.7, 0.3]), 0.5)
    assert votes.tracks()[0].attributes["gender"].label == "female"


def test_large_and_certain_faces_weigh_more() -> None:
    assert weight_of(a_face(side=20)) < weight_of(a_face(side=60)) < weight_of(a_face(side=64))
    assert weight_of(a_face(side=64)) == weight_of(a_face(side=640))
    assert weight_of(a_face(score=0.5)) < weight_of(a_face(score=0.9))
    assert weight_of(a_face(score=0.0)) > 0


def test_a_vote_counts_by_its_weight_and_for_drawing_a_quarter_after_1400_ms() -> None:
    votes = Votes({})
    happy, sad = (opinion_of(expression=[float(n == label) for n in range(7)]) for label in (3, 5))
    votes.add(a_face(0, score=0.9), happy, 0.5)
    votes.add(a_face(35, score=0.7), happy, 0.5)
    # The longer side is half of 64 pixels.
    drawn = votes.add(a_face(70, score=0.8, side=32, width=16), sad, 0.5)["expression"]
    share = 0.4 / (0.9 / 16 + 0.7 / 4 + 0.4)
    assert drawn.label == "sadness"
    assert drawn.probability == pytest.approx(share)
    settled = votes.tracks()[0].attributes["expression"]
    assert settled.label == "happiness"
    assert settled.probability == pytest.approx(1.6 / 2.0)


def test_what_is_drawn_follows_an_expression_but_not_a_gender() -> None:
    votes = Votes({})
    happy = opinion_of(expression=[0, 0, 0, 1, 0, 0, 0], gender=[0.9, 0.1])
    sad = opinion_of(expression=[0, 0, 0, 0, 0, 1, 0], gender=[0.1, 0.9])
    for index in range(100):
        votes.add(a_face(index), happy, 0.5)
    for index in range(100, 140):
        drawn = votes.add(a_face(index), sad, 0.5)
    assert drawn["expression"].label == "sadness"
    assert drawn["gender"].label == "female"
    assert votes.tracks()[0].attributes["expression"].label == "happiness"


def test_a_label_does_not_flicker_with_one_frame() -> None:
    votes = Votes({})
    happy = opinion_of(expression=[0, 0, 0, 1, 0, 0, 0])
    sad = opinion_of(expression=[0, 0, 0, 0, 0, 1, 0])
    for index in range(10):
        votes.add(a_face(index), happy, 0.5)
    assert votes.add(a_face(10), sad, 0.5)["expression"].label == "happiness"


def test_the_record_of_a_track_has_its_span_and_best_shot() -> None:
    votes = Votes({})
    for index, quality in [(3, 0.2), (5, 0.8), (6, 0.8), (9, 0.1)]:
        votes.add(a_face(index, score=quality), FEMALE, quality)
    votes.add(a_face(4, track=2), MALE, 0.3)
    first, second = votes.tracks()
    assert (first.track, first.face_count, second.track, second.face_count) == (1, 4, 2, 1)
    assert (first.first_frame_index, first.last_frame_index) == (3, 9)
    assert (first.first_time_ms, first.last_time_ms) == (120.0, 360.0)
    assert (first.best_frame_index, first.best_time_ms) == (5, 200.0)
    assert first.mean_score == pytest.approx((0.2 + 0.8 + 0.8 + 0.1) / 4)


def test_disabled_heads_are_absent() -> None:
    votes = Votes({})
    assert votes.add(a_face(), {}, 0.5) == {}
    assert votes.tracks()[0].attributes == {}


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data(), st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_settled_probabilities_are_probabilities_of_known_labels(
    data: st.DataObject, scores: list[float]
) -> None:
    votes = Votes({})
    heads = data.draw(st.sets(st.sampled_from(sorted(HEADS))))
    for index, score in enumerate(scores):
        opinion = {}
        for head in heads:
            count = len(HEADS[head])
            raw = data.draw(st.lists(st.floats(0.01, 1), min_size=count, max_size=count))
            opinion[head] = np.array(raw, np.float32) / np.float32(sum(raw))
        for attributes in (
            best_labels(opinion, {}),
            votes.add(a_face(index, score=score), opinion, 0),
        ):
            assert set(attributes) == heads
            for head, attribute in attributes.items():
                assert attribute.label in HEADS[head]
                assert 1 / len(HEADS[head]) - 1e-5 <= attribute.probability <= 1


@st.composite
def opinions(draw: st.DrawFn) -> Opinion:
    """Draw an opinion on some heads, from undecided to certain."""
    opinion = {}
    for head in draw(st.sets(st.sampled_from(sorted(HEADS)))):
        count = len(HEADS[head])
        raw = draw(st.lists(st.floats(0, 1, width=32), min_size=count, max_size=count))
        total = sum(raw)
        even = np.full(count, 1 / count, np.float32)
        opinion[head] = np.array(raw, np.float32) / np.float32(total) if total > 1e-3 else even
    return opinion


THRESHOLDS = st.dictionaries(st.sampled_from(sorted(HEADS)), st.floats(0, 1))


@given(st.lists(opinions(), min_size=1, max_size=5), THRESHOLDS)
def test_an_attribute_is_unsure_exactly_if_it_is_below_its_threshold(
    given_opinions: list[Opinion], thresholds: dict[str, float]
) -> None:
    votes, plain = Votes(thresholds), Votes({})
    pairs: list[tuple[Attributes, Attributes]] = []
    for index, opinion in enumerate(given_opinions):
        pairs.append((best_labels(opinion, thresholds), best_labels(opinion, {})))
        pairs.append((votes.add(a_face(index), opinion, 0), plain.add(a_face(index), opinion, 0)))
    pairs.append((votes.tracks()[0].attributes, plain.tracks()[0].attributes))
    for actual, best in pairs:
        assert list(actual) == list(best)
        for head, attribute in actual.items():
            assert attribute.probability == best[head].probability
            below = attribute.probability < thresholds.get(head, 0.0)
            assert attribute.label == (UNSURE if below else best[head].label)
            assert best[head].label in HEADS[head], "a threshold of 0 never gives unsure"
    for opinion in given_opinions:
        best = best_labels(opinion, {})
        at_threshold = {head: attribute.probability for head, attribute in best.items()}
        assert best_labels(opinion, at_threshold) == best


def test_a_track_is_sure_by_the_mean_of_its_faces_not_by_counting_unsure_ones() -> None:
    doubtful, sure = opinion_of(gender=[0.65, 0.35]), opinion_of(gender=[0.99, 0.01])
    votes = Votes({"gender": 0.7})
    labels = [best_labels(opinion, {"gender": 0.7}) for opinion in (doubtful, doubtful, sure)]
    assert [one["gender"].label for one in labels] == [UNSURE, UNSURE, "female"]
    drawn = [votes.add(a_face(n), one, 0.5) for n, one in enumerate((doubtful, doubtful, sure))]
    assert [one["gender"].label for one in drawn] == [UNSURE, UNSURE, "female"]
    settled = votes.tracks()[0].attributes["gender"]
    assert settled.label == "female"
    assert settled.probability == pytest.approx(2.29 / 3)


def test_sure_faces_that_contradict_each_other_leave_a_track_unsure() -> None:
    votes = Votes({"gender": 0.7})
    for index in range(6):
        votes.add(a_face(index), FEMALE if index % 2 else MALE, 0.5)
    settled = votes.tracks()[0].attributes["gender"]
    assert settled.label == UNSURE
    assert settled.probability == pytest.approx(0.55)


def quality(
    picture: clips.Picture, side: int = 60, *, score: float = 0.9, nose: float = 0.5
) -> float:
    box = (20.0, 20.0, 20.0 + side, 20.0 + side)
    eyes = [(20 + 0.3 * side, 40), (20 + 0.7 * side, 40)]
    points = [*eyes, (20 + side * (0.3 + 0.4 * nose), 50), (35, 60), (55, 60)]
    landmarks = np.array(points, np.float32)
    return shot_quality(
        box, score=score, sharpness=sharpness(picture, box), landmarks=landmarks, opinion={}
    )


def sharpness(picture: clips.Picture, box: tuple[float, float, float, float]) -> float:
    [crop] = crop_faces(picture, np.array([box], np.float32), scale=CROP_SCALE, size=CROP_SIZE)
    return sharpness_of(crop)


def test_a_good_shot_is_sharp_large_certain_and_frontal() -> None:
    noise = np.random.default_rng(1).integers(0, 255, (200, 200, 3), np.uint8)
    dull = np.full((200, 200, 3), 128, np.uint8)
    best = quality(noise)
    assert 0 < quality(dull) < best <= 1
    assert 0 == sharpness(dull, (20, 20, 80, 80)) < 0.5 < sharpness(noise, (20, 20, 80, 80)) < 1
    assert quality(noise, 30) < best < quality(noise, 120)
    assert quality(noise, score=0.5) < best
    assert quality(noise, nose=0.9) < quality(noise, nose=0.7) < best


def test_the_quality_of_a_shot_is_the_product_of_its_factors() -> None:
    box = (20.0, 30.0, 100.0, 70.0)  # the shorter side is a quarter of 160 pixels

    def rated(sharpness: float, landmarks: np.ndarray | None = None) -> float:
        return shot_quality(box, score=0.9, sharpness=sharpness, landmarks=landmarks, opinion={})

    assert rated(1.0) == pytest.approx(0.9 / 4)
    assert rated(0.0) == pytest.approx(0.9 / 4 / 4)
    both_eyes_in_one_place = np.full((5, 2), 40, np.float32)
    assert rated(1.0, both_eyes_in_one_place) == pytest.approx(0.9 / 4 / 4)


def test_without_landmarks_the_pose_decides_how_frontal_a_face_is() -> None:
    def shot_quality_of(frontal: float) -> float:
        opinion = opinion_of(pose=[frontal, 1 - frontal, 0, 0, 0])
        box = (20.0, 20.0, 80.0, 80.0)
        return shot_quality(box, score=0.9, sharpness=0.5, landmarks=None, opinion=opinion)

    assert shot_quality_of(0.1) < shot_quality_of(0.9)


def test_settled_attributes_do_not_change_as_the_track_continues() -> None:
    votes = Votes({})
    first = votes.add(a_face(0), FEMALE, 0.5)
    for index in range(1, 9):
        votes.add(a_face(index), MALE, 0.5)
    assert list(first) == ["gender"]
    assert first["gender"].label == "female"
    assert first["gender"].probability == pytest.approx(0.9)

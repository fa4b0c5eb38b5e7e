"""Layouts that tell labels by the names of files and folders: JAFFE, CK+, UTKFace, LFW, masks."""

from __future__ import annotations

from pathlib import Path

import pytest

from faces_jobs.jobs.labels import HEADS
from faces_jobs_models.training.readers.samples import is_held_out
from tests.unit.models.readers.drawn import open_only_set, true_labels, write_face


def test_jaffe(tmp_path: Path) -> None:
    names = (
        "KA.AN1.39.tiff", "KA.DI2.43.tiff", "KA.FE3.47.tiff", "KA.HA1.29.tiff", "KR.NE1.71.tiff",
        "KR.SA1.77.tiff", "KR.SU1.80.tiff", "KR.XX1.81.tiff", "example.png",
    )  # fmt: skip
    for index, name in enumerate(names):
        write_face(tmp_path / "jaffe" / name, index, side=256)
    (tmp_path / "jaffe" / "README").write_text("The Japanese Female Facial Expression database")
    one, samples, skipped = open_only_set(tmp_path)
    assert one.name == "jaffe"
    assert true_labels(samples, "expression") == [
        "anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise",
    ]  # fmt: skip
    assert [sample.held_out for sample in samples] == [False] * 4 + [True] * 3
    assert [sample.group for sample in samples] == ["KA"] * 4 + ["KR"] * 3
    assert skipped == {"jaffe expression 'XX'": 1, "jaffe malformed name": 1}


def write_sequences(folder: Path, emotions: str = "Emotion") -> tuple[Path, Path]:
    """Subject S005 with a labelled and a plain sequence, S010 with contempt and nonsense."""
    images, labels = folder / "cohn-kanade-images", folder / emotions
    sequences = {
        "S005/001": "   3.0000000e+00\n",
        "S005/002": None,
        "S010/001": "   2.0000000e+00\n",
        "S010/002": "   7.0000000e+00\n",
        "S010/003": "   9.0000000e+00\n",
    }
    for sequence, label in sequences.items():
        stem = sequence.replace("/", "_")
        for frame in range(1, 6):
            write_face(images / sequence / f"{stem}_{frame:08d}.png", frame)
        (images / sequence / ".DS_Store").write_bytes(b"")
        (labels / sequence).mkdir(parents=True)
        if label is not None:
            (labels / sequence / f"{stem}_00000005_emotion.txt").write_text(label)
    return images, labels


@pytest.mark.parametrize("emotions", ["Emotion", "Emotion_labels", "Emotion_labels/Emotion"])
def test_ckplus_sequences_end_with_their_label(tmp_path: Path, emotions: str) -> None:
    images, _ = write_sequences(tmp_path / "CK+", emotions)
    one, samples, skipped = open_only_set(tmp_path)
    assert one.name == "ckplus"
    assert true_labels(samples, "expression") == ["disgust"] * 3 + ["surprise"] * 3
    assert [sample.group for sample in samples] == ["S005"] * 3 + ["S010"] * 3
    frames = [images / "S005" / "001" / f"S005_001_0000000{frame}.png" for frame in (3, 4, 5)]
    assert [sample.image for sample in samples[:3]] == [frame.read_bytes() for frame in frames]
    assert [sample.held_out for sample in samples] == [False] * 3 + [True] * 3
    assert skipped == {
        "ckplus sequence without a label": 1,
        "ckplus expression 'contempt'": 3,
        "ckplus expression '9.0000000e+00'": 1,
    }


def test_the_neutral_first_frame_of_a_sequence_has_no_label(tmp_path: Path) -> None:
    for sequence, frames in (("001", 3), ("002", 1)):
        for frame in range(1, frames + 1):
            name = f"S005/{sequence}/S005_{sequence}_{frame:08d}.png"
            write_face(tmp_path / "cohn-kanade-images" / name, frame)
        label = tmp_path / "Emotion" / "S005" / sequence / "S005_emotion.txt"
        label.parent.mkdir(parents=True)
        label.write_text("3.0000000e+00")
    _, samples, skipped = open_only_set(tmp_path)
    assert true_labels(samples, "expression") == ["disgust"] * 2
    assert skipped == {"ckplus labelled sequence without frames, or with only the first": 1}


def test_ckplus_in_folders_of_small_faces(tmp_path: Path) -> None:
    for index, name in enumerate(
        (
            "anger/S010_004_00000017.png", "contempt/S138_008_00000007.png",
            "happy/S011_006_00000011.png", "sadness/S011_002_00000020.png", "fear/other.png",
        )
    ):  # fmt: skip
        write_face(tmp_path / "CK+48" / name, index)
    one, samples, skipped = open_only_set(tmp_path)
    assert one.name == "ckplus48"
    assert true_labels(samples, "expression") == ["anger", "happiness", "sadness"]
    assert samples[0].held_out == is_held_out("ckplus/S010", 0.15)
    assert [sample.group for sample in samples] == ["S010", "S011", "S011"]
    assert skipped == {
        "ckplus48 expression 'contempt'": 1,
        "ckplus48 malformed name": 1,
    }


@pytest.mark.parametrize("ending", [".jpg", ".jpg.chip.jpg"])
def test_utkface(tmp_path: Path, ending: str) -> None:
    names = [
        f"9_1_2_20170116154530123{ending}",
        f"26_0_1_20170116154530124{ending}",
        f"100_0_0_20170112215240346{ending}",
        f"61_1_20170109142408075{ending}",  # three such are in the set
        f"44_1_{ending}",
        f"30_2_0_20170116154530125{ending}",
    ]
    for index, name in enumerate(names):
        write_face(tmp_path / "UTKFace" / name, index)
    one, samples, skipped = open_only_set(tmp_path)
    assert (one.name, one.row_count) == ("utkface", 6)
    by_gender = dict(zip(true_labels(samples, "gender"), samples, strict=False))
    assert true_labels(samples, "age") == ["old", "young", "child"]  # in the order of the names
    assert by_gender["female"].groups == {"gender": "female", "age": "child", "race": "asian"}
    assert samples[1].groups == {"gender": "male", "age": "young", "race": "black"}
    assert [sample.held_out for sample in samples] == [
        is_held_out(f"utkface/{name.split('.')[0]}.jpg.chip.jpg", 0.15)
        for name in (names[2], names[1], names[0])
    ]
    assert samples[0].group == "100_0_0_20170112215240346.jpg.chip.jpg"
    assert skipped == {"utkface malformed name": 3}


def test_utkface_in_the_wild_has_three_parts(tmp_path: Path) -> None:
    for part in (1, 2, 3):
        write_face(tmp_path / f"part{part}" / f"2{part}_0_1_2017011615453012{part}.jpg", part)
    one, samples, _ = open_only_set(tmp_path)
    assert (one.name, len(samples)) == ("utkface", 3)


@pytest.mark.parametrize("where", [".", "lfw"])
def test_lfw(tmp_path: Path, where: str) -> None:
    for name in (
        "Ann_One/Ann_One_0001.jpg", "Ann_One/Ann_One_0002.jpg", "Bob_Two/Bob_Two_0001.jpg",
        "Cy_Three/Cy_Three_0001.jpg", "Di_Four/Di_Four_0001.jpg", "Di_Four/other.jpg",
    ):  # fmt: skip
        write_face(tmp_path / "lfw" / name, side=250)
    # Of the lists some name pictures and some name people.
    (tmp_path / where / "female_names.txt").write_text(
        "Ann_One_0001.jpg\nAnn_One_0002.jpg\nDi_Four", encoding="utf-8-sig"
    )
    (tmp_path / where / "male_names.txt").write_text("Bob_Two\r\nDi_Four\n\n")
    one, samples, skipped = open_only_set(tmp_path)
    assert one.name == "lfw"
    assert true_labels(samples, "gender") == ["female", "female", "male"]
    assert samples[0].held_out == samples[1].held_out == is_held_out("lfw/Ann_One", 0.15)
    assert [sample.group for sample in samples] == ["Ann_One", "Ann_One", "Bob_Two"]
    assert skipped == {
        "lfw gender in no list": 1,
        "lfw gender in both lists": 1,
        "lfw malformed name": 1,
    }


def test_face_masks(tmp_path: Path) -> None:
    for name in ("with_mask/1.jpg", "without_mask/2.jpg", "worn_wrongly/3.jpg"):
        write_face(tmp_path / "data" / name)
    one, samples, skipped = open_only_set(tmp_path)
    assert one.name == "facemask"
    assert true_labels(samples, "occlusion") == ["others", None]
    assert samples[1].targets["occlusion"][HEADS["occlusion"].index("none")] == 1
    assert samples[0].held_out == is_held_out("facemask/with_mask/1.jpg", 0.15)
    assert [sample.group for sample in samples] == ["with_mask/1.jpg", "without_mask/2.jpg"]
    assert not skipped

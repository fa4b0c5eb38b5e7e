"""Parquet packs, known and unknown ones, with drawn faces."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from faces_jobs.errors import DataLayoutError
from faces_jobs.jobs.labels import HEADS
from faces_jobs_models.training.label_choice import LabelChoice
from faces_jobs_models.training.readers import DataSet, open_data
from faces_jobs_models.training.readers.samples import Sample
from tests.unit.models.packs import cycle, drawn_face, write, write_packs
from tests.unit.models.readers.drawn import true_labels

ROWS = 60
NAMES = ("ckplus48", "facemask", "ferplus", "imfdb", "utkface")


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packs")
    write_packs(folder, rows=ROWS)
    return folder


def opened(path: Path, labels: LabelChoice = "ferplus") -> tuple[DataSet, Counter[str]]:
    skipped: Counter[str] = Counter()
    (one,) = open_data(path, labels=labels, skipped=skipped)
    return one, skipped


def generic(folder: Path, **columns: list[object]) -> tuple[str, list[Sample], Counter[str]]:
    """The name and the samples of a pack `mine` with these columns beside the pictures."""
    rows = len(next(iter(columns.values())))
    images: list[object] = [drawn_face(index, side=40) for index in range(rows)]
    write(folder, "mine", {"image": images, **columns})
    one, skipped = opened(folder / "mine.parquet")
    return one.name, list(one), skipped


def test_a_folder_gives_all_its_packs(packs: Path) -> None:
    sets = open_data(packs, skipped=Counter())
    assert [(one.name, one.layout, one.row_count) for one in sets] == [
        (name, "parquet", ROWS) for name in NAMES
    ]


@pytest.mark.parametrize("name", NAMES)
def test_columns_tell_a_known_set_whatever_its_file_is_called(
    name: str, packs: Path, tmp_path: Path
) -> None:
    renamed = tmp_path / "kept.parquet"
    renamed.write_bytes((packs / f"{name}.parquet").read_bytes())
    one, _ = opened(renamed)
    assert one.name == name
    other, _ = opened(packs / f"{name}.parquet")
    assert [sample.held_out for sample in one] == [sample.held_out for sample in other]


def test_two_packs_of_one_set_are_told_apart(packs: Path, tmp_path: Path) -> None:
    for name in ("kept", "utkface"):
        (tmp_path / f"{name}.parquet").write_bytes((packs / "utkface.parquet").read_bytes())
    sets = open_data(tmp_path, skipped=Counter())
    assert [(one.name, one.path.stem) for one in sets] == [
        ("kept", "kept"),
        ("utkface", "utkface"),
    ]


def test_a_set_can_be_read_again(packs: Path) -> None:
    one, _ = opened(packs / "imfdb.parquet")
    assert [sample.image for sample in one] == [sample.image for sample in one]


def test_actors_and_subjects_are_on_one_side_only(packs: Path) -> None:
    imfdb, _ = opened(packs / "imfdb.parquet")
    sides: dict[int, set[bool]] = {}
    for index, sample in enumerate(imfdb):
        sides.setdefault(index % 20, set()).add(sample.held_out)
    assert all(len(side) == 1 for side in sides.values())
    assert {True, False} == set.union(*sides.values())
    ckplus, _ = opened(packs / "ckplus48.parquet")
    kept = [index for index in range(ROWS) if index % 7 != 6]  # contempt is none of the seven
    sides = {}
    for index, sample in zip(kept, ckplus, strict=True):
        sides.setdefault(index % 12, set()).add(sample.held_out)
    assert all(len(side) == 1 for side in sides.values())


def test_faces_of_a_person_are_of_one_group(packs: Path) -> None:
    imfdb, _ = opened(packs / "imfdb.parquet")
    assert [sample.group for sample in imfdb] == [f"Actor{row % 20}" for row in range(ROWS)]
    ckplus, _ = opened(packs / "ckplus48.parquet")
    assert {sample.group for sample in ckplus} <= {f"S{subject:03d}" for subject in range(12)}
    utkface, _ = opened(packs / "utkface.parquet")  # nobody knows who is in a picture
    assert len({sample.group for sample in utkface}) == ROWS


def test_ferplus_is_split_by_its_usage(packs: Path) -> None:
    one, _ = opened(packs / "ferplus.parquet")
    kept = [index for index in range(ROWS) if index % 10 != 9]
    assert [sample.held_out for sample in one] == [index % 3 == 2 for index in kept]


def test_unknown_labels_are_counted(packs: Path) -> None:
    skipped: Counter[str] = Counter()
    for one in open_data(packs, skipped=skipped):
        list(one)
    assert skipped == {
        "imfdb pose None": ROWS // 6,
        "ckplus48 expression 'contempt'": ROWS // 7,
        "ferplus without a clear expression": ROWS // 10,
    }


def test_targets_are_distributions_over_the_labels(packs: Path) -> None:
    for one in open_data(packs, skipped=Counter()):
        for sample in one:
            for head, target in sample.targets.items():
                assert target.shape == (len(HEADS[head]),)
                assert target.sum() == pytest.approx(1, abs=1e-5)


def test_imfdb_keeps_its_noisy_expressions_to_itself(packs: Path) -> None:
    one, _ = opened(packs / "imfdb.parquet")
    assert not any("expression" in sample.targets for sample in one)


def test_faces_without_a_mask_are_learnt_from_but_not_measured(packs: Path) -> None:
    one, _ = opened(packs / "facemask.parquet")
    masked, bare = list(one)[:2]
    others, none = (HEADS["occlusion"].index(label) for label in ("others", "none"))
    assert masked.truth == {"occlusion": others}
    assert bare.truth == {}
    assert bare.targets["occlusion"][none] == 1


def test_the_labels_of_fer2013_are_a_set_of_their_own(packs: Path) -> None:
    one, skipped = opened(packs / "ferplus.parquet", "fer2013")
    assert one.name == "fer2013"
    samples = list(one)
    labels = HEADS["expression"]
    assert [labels[sample.truth["expression"]] for sample in samples[:7]] == [
        "anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral",
    ]  # fmt: skip
    assert all(sample.targets["expression"].max() == 1 for sample in samples)
    assert skipped == {"fer2013 expression None": ROWS // 8}


def test_the_choice_of_labels_changes_no_other_set(packs: Path) -> None:
    sets = open_data(packs, labels="fer2013", skipped=Counter())
    assert [one.name for one in sets] == ["ckplus48", "facemask", "fer2013", "imfdb", "utkface"]


def test_groups_are_told_beside_the_labels(packs: Path) -> None:
    one, _ = opened(packs / "utkface.parquet")
    first = next(iter(one))
    assert first.groups == {"gender": "female", "age": "child", "race": "white"}


def test_a_pack_of_its_own_takes_its_files_name(tmp_path: Path) -> None:
    name, samples, skipped = generic(
        tmp_path,
        gender=["F", "male", "M", "FEMALE", "x", None, "f"],
        note=["ignored"] * 7,
    )
    assert name == "mine"
    labels = HEADS["gender"]
    assert [labels[sample.truth["gender"]] for sample in samples] == [
        "female", "male", "male", "female", "female",
    ]  # fmt: skip
    assert skipped == {"mine gender 'x'": 1, "mine gender None": 1}


def test_ages_are_years_or_bands(tmp_path: Path) -> None:
    _, samples, skipped = generic(tmp_path, age=["12", "old", "Young", "forty", "-1"])
    bands = [HEADS["age"][sample.truth["age"]] for sample in samples]
    assert bands == ["child", "old", "young"]
    assert skipped == {"mine age 'forty'": 1, "mine age '-1'": 1}


def test_numbers_for_gender_are_not_guessed_at(tmp_path: Path) -> None:
    _, samples, skipped = generic(tmp_path, gender=[0, 1], age=[30, 40])
    assert all(list(sample.targets) == ["age"] for sample in samples)
    assert skipped == {"mine gender 0": 1, "mine gender 1": 1}


def test_a_majority_without_votes_is_certain(tmp_path: Path) -> None:
    _, samples, skipped = generic(tmp_path, ferplus_majority=["anger", "tie", "fear"])
    assert [sample.targets["expression"].max() for sample in samples] == [1, 1]
    assert skipped == {"mine expression 'tie'": 1}


def test_only_fer2013_labels_are_used_whatever_is_asked_for(tmp_path: Path) -> None:
    name, samples, _ = generic(tmp_path, fer2013_label=["angry", "sad"])
    assert name == "mine"
    assert len(samples) == 2


def test_a_pack_with_both_labels_is_another_set_for_each(tmp_path: Path) -> None:
    _, [first], _ = generic(tmp_path, fer2013_label=["angry"], ferplus_majority=["sadness"])
    assert HEADS["expression"][first.truth["expression"]] == "sadness"
    one, _ = opened(tmp_path / "mine.parquet", "fer2013")
    assert one.name == "mine-fer2013"
    assert true_labels(list(one), "expression") == ["anger"]


def test_rows_without_a_picture_are_counted(tmp_path: Path) -> None:
    images: list[object] = [drawn_face(0, side=40), None, b""]
    write(tmp_path, "mine", {"image": images, "gender": cycle(3, "male")})
    one, skipped = opened(tmp_path)
    assert len(list(one)) == 1
    assert skipped == {"mine row without a picture": 2}


def test_pictures_with_their_paths_inside_are_read(tmp_path: Path) -> None:
    image = {"bytes": drawn_face(0, side=40), "path": "0.png"}
    write(tmp_path, "mine", {"image": [image], "gender": ["male"]})
    one, _ = opened(tmp_path)
    assert next(iter(one)).image == image["bytes"]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"picture": [b""], "gender": ["male"]}, "no column image"),
        ({"image": [b""], "smile": ["yes"]}, "none with a known label"),
    ],
)
def test_a_pack_without_known_columns_is_told(
    tmp_path: Path, columns: dict[str, list[object]], said: str
) -> None:
    write(tmp_path, "mine", columns)
    with pytest.raises(DataLayoutError, match=rf"mine\.parquet.*{said}"):
        open_data(tmp_path, skipped=Counter())


def test_a_broken_pack_loses_no_other(packs: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 but no more")
    (tmp_path / "ckplus48.parquet").write_bytes((packs / "ckplus48.parquet").read_bytes())
    one, skipped = opened(tmp_path)
    assert one.name == "ckplus48"
    assert skipped == {"broken.parquet can't be read as parquet (ArrowInvalid)": 1}
    with pytest.raises(DataLayoutError, match=r"broken\.parquet can't be read"):
        open_data(tmp_path / "broken.parquet", skipped=Counter())


def test_a_pack_that_is_damaged_behind_its_head_is_told(packs: Path, tmp_path: Path) -> None:
    whole = (packs / "ckplus48.parquet").read_bytes()
    pictures = len(whole) // 2  # its head, at the end, stays as it is
    damaged = tmp_path / "ckplus48.parquet"
    damaged.write_bytes(whole[:4] + bytes(pictures) + whole[4 + pictures :])
    one, _ = opened(damaged)
    with pytest.raises(DataLayoutError, match=r"ckplus48\.parquet is damaged: download it again"):
        list(one)


def votes(rows: int, **votes: list[object]) -> dict[str, list[object]]:
    """Columns of votes, 3 for each expression, apart from those that are given."""
    equal: dict[str, list[object]] = {f"votes_{label}": [3] * rows for label in HEADS["expression"]}
    return equal | {f"votes_{label}": column for label, column in votes.items()}


@pytest.mark.parametrize("broken", [[float("nan"), 9.0], [-1.0, 9.0], ["many", "9"]])
def test_votes_that_are_no_numbers_are_counted(tmp_path: Path, broken: list[object]) -> None:
    _, samples, skipped = generic(tmp_path, **votes(2, fear=broken))
    assert true_labels(samples, "expression") == ["fear"]
    assert skipped == {"mine row with invalid votes": 1}


def test_a_missing_vote_is_none(tmp_path: Path) -> None:
    _, (sample,), _ = generic(tmp_path, **votes(1, fear=[9], anger=[None]))
    assert sample.targets["expression"][HEADS["expression"].index("anger")] == 0


def test_the_most_votes_win_where_no_majority_is_told(tmp_path: Path) -> None:
    _, samples, _ = generic(tmp_path, **votes(3, fear=[9, 3, 3], sadness=[3, 9, 3]))
    assert true_labels(samples, "expression") == ["fear", "sadness", None]
    _, samples, _ = generic(
        tmp_path, **votes(3, fear=[9, 9, 9]), ferplus_majority=["Happy", "fear", None]
    )
    assert true_labels(samples, "expression") == ["happiness", "fear", None]


def test_a_long_unknown_label_is_shortened(tmp_path: Path) -> None:
    _, _, skipped = generic(tmp_path, gender=["somebody " * 50, "f"])
    (reason,) = skipped
    assert reason.startswith("mine gender 'somebody somebody")
    assert len(reason) < 80


@pytest.mark.parametrize("usage", ["Training", "train"])
def test_usage_decides_what_is_trained_on(tmp_path: Path, usage: str) -> None:
    _, samples, _ = generic(tmp_path, gender=["f", "m"], usage=[usage, "test"])
    assert [sample.held_out for sample in samples] == [False, True]

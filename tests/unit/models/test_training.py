"""Training end to end on drawn faces, and its parts."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from faces_jobs.errors import ModelError
from faces_jobs.jobs.labels import HEADS, MODELS
from faces_jobs_models.catalog import Catalog, open_catalog
from faces_jobs_models.residual import BodyConfig
from faces_jobs_models.training import __main__ as command
from faces_jobs_models.training.augment import Augmentation, augment, middle
from faces_jobs_models.training.export import export_model
from faces_jobs_models.training.figures import figures_of
from faces_jobs_models.training.loop import LOG_NAME, train
from faces_jobs_models.training.losses import log_priors, multi_task_loss
from faces_jobs_models.training.packs import PACKS, age_band, read_pack, soft_age_band
from faces_jobs_models.training.prepare import MARGIN, Prepared, prepare
from faces_jobs_models.training.recipes import RECIPES, Recipe
from faces_jobs_models.training.samples import is_held_out

from .packs import write_packs

TINY = BodyConfig(stem=8, widths=(8, 8, 16), blocks=(1, 1, 1))
ROWS = 60


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_packs(folder, rows=ROWS)
    return folder


def tiny(model: str) -> Recipe:
    recipe = RECIPES[model]
    body = replace(TINY, in_channels=recipe.body.in_channels)
    return replace(recipe, body=body, epochs=2, batch=16)


def prepared(recipe: Recipe, data: Path, out: Path, catalog: Catalog) -> list[Prepared]:
    return [
        prepare(
            name,
            data=data,
            out=out,
            detector=catalog.detector(),
            crop_scale=recipe.crop_scale,
            crop_size=recipe.crop_size,
            gray=recipe.gray,
        )
        for name in recipe.data_sets
    ]


@pytest.mark.parametrize("model", MODELS)
def test_what_is_trained_can_be_opened_and_asked(
    model: str, data: Path, tmp_path: Path, catalog: Catalog
) -> None:
    recipe = tiny(model)
    lines: list[str] = []
    data_sets = prepared(recipe, data, tmp_path / "prepared", catalog)
    trained = train(recipe, data_sets, out=tmp_path / "run", say=lines.append)
    export_model(recipe, trained, out=tmp_path / "models" / model)

    assert len(lines) == recipe.epochs
    log = [json.loads(line) for line in (tmp_path / "run" / LOG_NAME).read_text().splitlines()]
    assert all(np.isfinite(entry["loss"]) for entry in log)
    assert {one.head for one in trained.figures} == set(MODELS[model])
    with open_catalog(device="cpu", models_folder=tmp_path / "models") as own:
        (classifier,) = own.classifiers([model])
        (opinion,) = classifier.classify([np.zeros((64, 64, 3), np.uint8)])
        assert list(opinion) == list(MODELS[model])
        assert own.record(model).figures.keys() == set(MODELS[model])


def test_a_run_that_was_cut_off_ends_as_an_unbroken_one(
    data: Path, tmp_path: Path, catalog: Catalog
) -> None:
    recipe = tiny("gender")
    data_sets = prepared(recipe, data, tmp_path / "prepared", catalog)

    def stop(line: str) -> None:
        raise InterruptedError(line)

    with pytest.raises(InterruptedError):
        train(recipe, data_sets, out=tmp_path / "broken", say=stop)
    lines: list[str] = []
    resumed = train(recipe, data_sets, out=tmp_path / "broken", say=lines.append)
    unbroken = train(recipe, data_sets, out=tmp_path / "whole", say=lines.append)
    assert len(lines) == 1 + recipe.epochs
    for (name, one), other in zip(
        resumed.network.state_dict().items(), unbroken.network.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(one, other, msg=name)


def test_the_command_trains_and_says_where_the_weights_are(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "RECIPES", {"gender": replace(tiny("gender"), epochs=1)})
    assert command.main(["gender", "--data", str(data), "--out", str(tmp_path)]) == 0
    assert (tmp_path / "gender" / "export" / "weights.toml").is_file()
    assert "written: " in capsys.readouterr().out


def test_the_command_says_what_it_looked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["gender", "--data", str(tmp_path), "--out", str(tmp_path)]) == 1
    assert "utkface.parquet" in capsys.readouterr().out


def test_crops_are_cut_once(data: Path, tmp_path: Path, catalog: Catalog) -> None:
    recipe = tiny("gender")
    first = prepared(recipe, data, tmp_path, catalog)
    for pack in data.iterdir():
        assert pack.is_file()
    again = prepared(recipe, tmp_path / "no data needed", tmp_path, catalog)
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.crops, other.crops)
        assert one.crops.shape[1:] == (round(64 * MARGIN), round(64 * MARGIN), 3)


def test_actors_and_subjects_are_on_one_side_only(data: Path) -> None:
    for name, key in (("imfdb", 20), ("ckplus48", 12)):
        sides: dict[int, set[bool]] = {}
        skipped: Counter[str] = Counter()
        labels = 7  # ckplus48's contempt rows give no sample
        index = 0
        for sample in read_pack(data, name, skipped):
            while name == "ckplus48" and index % labels == labels - 1:
                index += 1
            sides.setdefault(index % key, set()).add(sample.held_out)
            index += 1
        assert all(len(side) == 1 for side in sides.values())


def test_unknown_labels_are_counted(data: Path) -> None:
    skipped: Counter[str] = Counter()
    for name in PACKS:
        list(read_pack(data, name, skipped))
    assert skipped["imfdb pose None"] == ROWS // 6
    assert skipped["ckplus48 expression 'contempt'"] == ROWS // 7
    assert skipped["ferplus without a clear expression"] == ROWS // 10


@pytest.mark.parametrize("name", PACKS)
def test_targets_are_distributions_over_the_labels(name: str, data: Path) -> None:
    for sample in read_pack(data, name, Counter()):
        for head, target in sample.targets.items():
            assert target.shape == (len(HEADS[head]),)
            assert target.sum() == pytest.approx(1, abs=1e-5)


def test_a_pack_without_its_columns_is_told(tmp_path: Path) -> None:
    write_packs(tmp_path, rows=3)
    (tmp_path / "utkface.parquet").rename(tmp_path / "imfdb.parquet")
    with pytest.raises(ModelError, match="no column"):
        list(read_pack(tmp_path, "imfdb", Counter()))


@given(st.integers(0, 116))
def test_the_likeliest_age_band_is_the_band_of_the_age(years: int) -> None:
    soft = soft_age_band(years)
    assert soft.sum() == pytest.approx(1, abs=1e-6)
    assert soft[age_band(years)] >= soft.max() - 0.02


def test_age_bands_begin_where_they_are_said_to() -> None:
    labels = HEADS["age"]
    said = {years: labels[age_band(years)] for years in (0, 12, 13, 35, 36, 59, 60, 100)}
    assert list(said.values()) == [
        "child", "child", "young", "young", "middle", "middle", "old", "old",
    ]  # fmt: skip


def test_about_as_many_are_held_out_as_asked_for() -> None:
    held_out = sum(is_held_out(f"face {index}", 0.15) for index in range(4000))
    assert 500 < held_out < 700


@given(seed=st.integers(0, 1000), channels=st.sampled_from([1, 3]))
def test_changed_crops_stay_pictures(seed: int, channels: int) -> None:
    random = torch.Generator().manual_seed(seed)
    crops = torch.randint(0, 256, (9, 80, 80, channels), dtype=torch.uint8, generator=random)
    inside = torch.tensor([[0.1, 0.1, 0.9, 0.9]]).repeat(9, 1)
    changed, flipped = augment(crops, inside, size=64, how=Augmentation(), random=random)
    assert changed.shape == (9, channels, 64, 64)
    assert flipped.shape == (9,)
    assert changed.min() >= 0
    assert changed.max() <= 255


def test_without_strength_a_changed_crop_is_the_run_time_crop_or_its_mirror() -> None:
    random = torch.Generator().manual_seed(1)
    crops = torch.randint(0, 256, (16, 80, 80, 3), dtype=torch.uint8, generator=random)
    nothing = Augmentation(
        degrees=0, zoom=0, shift=0, brightness=0, contrast=0, colour=0, gray_share=0,
        low_share=0, noise_share=0, border_share=0, erase_share=0,
    )  # fmt: skip
    inside = torch.tensor([[0.0, 0.0, 1.0, 1.0]]).repeat(16, 1)
    changed, flipped = augment(crops, inside, size=64, how=nothing, random=random)
    plain = middle(crops, size=64)
    expected = torch.where(flipped.reshape(-1, 1, 1, 1), plain.flip(3), plain)
    assert 0 < flipped.sum() < 16
    torch.testing.assert_close(changed, expected, atol=0.1, rtol=0)


def test_rows_that_do_not_know_a_head_teach_it_nothing() -> None:
    logits = {"gender": torch.zeros(2, 2, requires_grad=True)}
    targets = {"gender": torch.tensor([[1.0, 0.0], [0.0, 0.0]])}
    loss = multi_task_loss(
        logits,
        targets,
        priors=log_priors(targets, torch.ones(2)),
        adjustment={"gender": 0.0},
        head_weights={"gender": 1.0},
        smoothing=0.0,
    )
    loss.backward()  # type: ignore[no-untyped-call]  # torch's own
    gradient = logits["gender"].grad
    assert gradient is not None
    assert gradient[0].abs().sum() > 0
    assert gradient[1].abs().sum() == 0


def test_smoothing_leaves_a_blind_network_without_an_opinion() -> None:
    # 2 % are rare. What knows nothing about a face should answer both labels alike when the
    # common one's advantage is taken off wholly; even smoothing would make it answer `rare`.
    targets = {"makeup": torch.tensor([[1.0, 0.0]] * 98 + [[0.0, 1.0]] * 2)}
    logit = torch.zeros(1, 2, requires_grad=True)
    loss = multi_task_loss(
        {"makeup": logit.expand(100, 2)},
        targets,
        priors=log_priors(targets, torch.ones(100)),
        adjustment={"makeup": 1.0},
        head_weights={"makeup": 1.0},
        smoothing=0.1,
    )
    loss.backward()  # type: ignore[no-untyped-call]  # torch's own
    assert logit.grad is not None
    torch.testing.assert_close(logit.grad, torch.zeros(1, 2), atol=1e-6, rtol=0)


def test_figures_weigh_rare_labels_as_much_as_common_ones() -> None:
    figures = figures_of(
        model="m",
        head="h",
        data_set="d",
        labels=("common", "rare", "absent"),
        truth=np.array([0] * 8 + [1] * 2 + [-1]),
        answers=np.array([0] * 10 + [1]),
    )
    assert figures is not None
    assert figures.n == 10
    assert figures.accuracy == figures.baseline == pytest.approx(0.8)
    assert figures.balanced_accuracy == pytest.approx(0.5)
    assert figures.recall == {"common": 1.0, "rare": 0.0}


def test_no_truth_no_figures() -> None:
    nothing = np.array([-1, -1])
    assert (
        figures_of(model="m", head="h", data_set="d", labels=("a",), truth=nothing, answers=nothing)
        is None
    )


def test_the_command_measures_the_shipped_weights(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["expression", "--data", str(data), "--out", str(tmp_path), "--measure"]
    assert command.main(arguments) == 0
    table = capsys.readouterr().out
    assert "| expression | ferplus | " in table
    assert not (tmp_path / "expression").exists()

"""Training end to end on drawn faces, and its parts."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from faces_jobs.errors import DataLayoutError
from faces_jobs.jobs.labels import MODELS
from faces_jobs_models.catalog import Catalog, open_catalog
from faces_jobs_models.training.checkpoint import LOG_NAME
from faces_jobs_models.training.data.augment import Augmentation, augment, centre_crop
from faces_jobs_models.training.data.prepare import MARGIN, PreparedDataSet
from faces_jobs_models.training.evaluation.figures import figures_of
from faces_jobs_models.training.export import export_model
from faces_jobs_models.training.losses import distillation_loss, log_priors, multi_task_loss
from faces_jobs_models.training.quantize import calibration_batches
from faces_jobs_models.training.run_recipe import recipe_for
from faces_jobs_models.training.train import TEACHER, train

from .packs import write_packs
from .tiny import prepared, tiny

ROWS = 60
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_packs(folder, rows=ROWS)
    return folder


@pytest.fixture(scope="module")
def crops(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where crops are cut once for all tests that don't look at how that is done."""
    return tmp_path_factory.mktemp("crops")


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("model", MODELS)
def test_what_is_trained_can_be_opened_and_asked(
    *, model: str, device: str, data: Path, crops: Path, tmp_path: Path, catalog: Catalog
) -> None:
    recipe = tiny(model)
    lines: list[str] = []

    def report(line: str) -> None:
        assert torch.backends.cudnn.enabled  # without it a GPU takes fifty times as long
        lines.append(line)

    data_sets = prepared(recipe, data, crops / model, catalog)
    trained = train(
        recipe, data_sets, out=tmp_path / "run", device=torch.device(device), report=report
    )
    examples = calibration_batches(data_sets, crop_size=recipe.crop_size)
    export_model(recipe, trained, examples=examples, out=tmp_path / "models" / model)

    assert len(lines) == recipe.total_epochs == recipe.epochs + 1
    log = [json.loads(line) for line in (tmp_path / "run" / LOG_NAME).read_text().splitlines()]
    assert all(np.isfinite(entry["loss"]) for entry in log)
    assert {one.head for one in trained.figures} == set(MODELS[model])
    with open_catalog(device="cpu", models_folder=tmp_path / "models") as own:
        (classifier,) = own.classifiers([model])
        (opinion,) = classifier.classify([np.zeros((64, 64, 3), np.uint8)])
        assert list(opinion) == list(MODELS[model])
        assert own.record(model).figures.keys() == set(MODELS[model])
        assert own.record(model).calibration == trained.calibration
        assert any(one.folds for one in trained.calibration.values())


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_what_is_only_taught_looks_at_no_label(
    share: float, data: Path, crops: Path, tmp_path: Path, catalog: Catalog
) -> None:
    plain = tiny("gender")
    assert plain.distillation is not None
    recipe = replace(plain, epochs=1, distillation=replace(plain.distillation, share=share))
    data_sets = prepared(recipe, data, crops / "gender", catalog)
    swapped = [
        replace(one, targets={head: target[:, ::-1] for head, target in one.targets.items()})
        for one in data_sets
    ]

    def trained(name: str, sets: list[PreparedDataSet]) -> Tensor:
        run, lines = tmp_path / name, list[str]()
        done = train(recipe, sets, out=run, device=torch.device("cpu"), report=lines.append)
        weight: Tensor = done.network.state_dict()["body.stem.weight"]
        return weight

    told = trained("told", data_sets)
    shutil.copytree(tmp_path / "told" / TEACHER, tmp_path / "lied to" / TEACHER)
    assert torch.equal(told, trained("lied to", swapped)) == (share == 1.0)


def test_nothing_can_be_learnt_from_held_out_faces_alone(
    data: Path, crops: Path, tmp_path: Path, catalog: Catalog
) -> None:
    recipe = tiny("gender")
    data_sets = [
        replace(one, held_out=np.ones_like(one.held_out))
        for one in prepared(recipe, data, crops / "gender", catalog)
    ]
    with pytest.raises(DataLayoutError, match="every face of utkface and imfdb is held out"):
        train(recipe, data_sets, out=tmp_path, device=torch.device("cpu"), report=lambda _: None)
    assert not list(tmp_path.iterdir())


def test_crops_are_cut_once(data: Path, tmp_path: Path, catalog: Catalog) -> None:
    recipe = tiny("gender")
    first = prepared(recipe, data, tmp_path, catalog)
    marks = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npy")}
    again = prepared(recipe, data, tmp_path, catalog)
    assert marks == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npy")}
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.crops, other.crops)
        assert one.crops.shape[1:] == (round(64 * MARGIN), round(64 * MARGIN), 3)


@given(seed=st.integers(0, 1000), channels=st.sampled_from([1, 3]))
def test_changed_crops_stay_pictures(seed: int, channels: int) -> None:
    random = torch.Generator().manual_seed(seed)
    crops = torch.randint(0, 256, (9, 80, 80, channels), dtype=torch.uint8, generator=random)
    inside = torch.tensor([[0.1, 0.1, 0.9, 0.9]]).repeat(9, 1)
    changed, flipped = augment(crops, inside, size=64, options=Augmentation(), generator=random)
    assert changed.shape == (9, channels, 64, 64)
    assert flipped.shape == (9,)
    assert changed.min() >= 0
    assert changed.max() <= 255


def test_without_strength_a_changed_crop_is_the_run_time_crop_or_its_mirror() -> None:
    random = torch.Generator().manual_seed(1)
    crops = torch.randint(0, 256, (16, 80, 80, 3), dtype=torch.uint8, generator=random)
    nothing = Augmentation(
        degrees=0, zoom=0, shift=0, brightness=0, contrast=0, colour=0, gray_share=0,
        downscale_share=0, noise_share=0, border_share=0, erase_share=0,
    )  # fmt: skip
    inside = torch.tensor([[0.0, 0.0, 1.0, 1.0]]).repeat(16, 1)
    changed, flipped = augment(crops, inside, size=64, options=nothing, generator=random)
    plain = centre_crop(crops, size=64)
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
        logit_adjustment={"gender": 0.0},
        head_weights={"gender": 1.0},
        label_smoothing=0.0,
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
        logit_adjustment={"makeup": 1.0},
        head_weights={"makeup": 1.0},
        label_smoothing=0.1,
    )
    loss.backward()  # type: ignore[no-untyped-call]  # torch's own
    assert logit.grad is not None
    torch.testing.assert_close(logit.grad, torch.zeros(1, 2), atol=1e-6, rtol=0)


def test_what_a_teacher_says_is_learnt_where_no_label_is_known() -> None:
    logit = torch.zeros(2, 2, requires_grad=True)
    taught = {"gender": 2.0 * torch.log(torch.tensor([[0.9, 0.1], [0.5, 0.5]]))}
    loss = distillation_loss(
        {"gender": logit}, taught, head_weights={"gender": 1.0}, temperature=2.0
    )
    loss.backward()  # type: ignore[no-untyped-call]  # torch's own
    assert logit.grad is not None
    # Of two crops: half of the difference to what is said, and twice for the temperature.
    torch.testing.assert_close(logit.grad, torch.tensor([[-0.4, 0.4], [0.0, 0.0]]))


def test_a_recipe_can_do_without_its_teacher() -> None:
    for model in MODELS:
        with_one, without = (
            recipe_for(model, "ferplus"),
            recipe_for(model, "ferplus", without_teacher=True),
        )
        assert without.teacher is None
        assert without.total_epochs == without.epochs == with_one.epochs
        teacher = with_one.teacher
        assert teacher is not None
        assert teacher.teacher is None
        assert teacher.body.in_channels == with_one.body.in_channels
        assert with_one.total_epochs == with_one.epochs + teacher.epochs


def test_figures_weigh_rare_labels_as_much_as_common_ones() -> None:
    figures = figures_of(
        ("common", "rare", "absent"), np.array([0] * 8 + [1] * 2 + [-1]), np.array([0] * 10 + [1])
    )
    assert figures.n == 10
    assert figures.accuracy == figures.baseline == pytest.approx(0.8)
    assert figures.balanced_accuracy == pytest.approx(0.5)
    assert figures.recall == {"common": 1.0, "rare": 0.0}


def test_no_truth_no_figures() -> None:
    nothing = np.array([-1, -1])
    with pytest.raises(ValueError, match="no face has a known truth"):
        figures_of(("a",), nothing, nothing)

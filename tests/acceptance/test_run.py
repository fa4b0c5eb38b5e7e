"""`faces-jobs run` as a shell calls it: the pipeline without a service, on files and a camera."""

from __future__ import annotations

import csv
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import pyarrow.parquet as pq
import pytest
from PIL import Image
from skimage.data import astronaut

from faces_jobs.cli import exits
from tests.services import TIMEOUT_SECONDS

ENVIRONMENT = {"PATH": os.defpath, "OMP_NUM_THREADS": "1", "FACES_JOBS_DEVICE": "cpu"}


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "faces_jobs", "run", *map(str, arguments)]


def run(*arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments),
        env={**ENVIRONMENT, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    """A folder tree of photographs whose names nearly collide, and of a file that is no video."""
    folder = tmp_path / "inputs"
    (folder / "sub").mkdir(parents=True)
    photograph = Image.fromarray(astronaut())  # type: ignore[no-untyped-call] # ships no types
    photograph.save(folder / "a.png")
    photograph.save(folder / "a.JPG", format="JPEG")
    photograph.resize((300, 200)).save(folder / "sub" / "a.png")
    (folder / "notes.mp4").write_text("no video")
    return folder


def test_a_folder_is_processed_although_one_file_is_invalid(inputs: Path, tmp_path: Path) -> None:
    outputs = tmp_path / "outputs"
    done = run("--inputs-path", inputs, "--outputs-path", outputs, "--models", "1,0,1")
    assert done.returncode == exits.SOME_FAILED, done.stderr
    assert "notes.mp4: " in done.stderr
    assert "Traceback" not in done.stderr
    written = {path.relative_to(outputs).as_posix() for path in outputs.rglob("*.*")}
    assert written == {
        "a.JPG.annotated.jpg",
        "a.png.annotated.png",
        "sub/a.png.annotated.png",
        "faces.csv",
        "faces.jsonl",
        "faces.parquet",
        "tracks.csv",
    }
    with Image.open(outputs / "sub" / "a.png.annotated.png") as image:
        assert image.size == (300, 200)
    with (outputs / "faces.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["item"] for row in rows] == ["a.JPG", "a.png", "sub/a.png"]
    assert {row["gender"] for row in rows} <= {"female", "male", "unsure"}
    assert {row["expression"] for row in rows} == {""}, "that model is disabled"
    assert pq.read_table(outputs / "faces.parquet").num_rows == 3


@pytest.mark.parametrize(
    ("arguments", "variables", "unsure"),
    [
        (("--unsure-below", "0"), {}, False),
        (("--unsure-below", "gender=1"), {}, True),
        ((), {"FACES_JOBS_UNSURE_BELOW": "1"}, True),
        (("--unsure-below", "off"), {"FACES_JOBS_UNSURE_BELOW": "1"}, False),
    ],
)
def test_an_option_or_a_setting_sets_the_threshold_of_unsure(
    inputs: Path,
    tmp_path: Path,
    arguments: tuple[str, ...],
    variables: dict[str, str],
    unsure: bool,
) -> None:
    outputs = tmp_path / "outputs"
    options = ("--models", "1,0,0", "--no-annotated", *arguments)
    done = run("--inputs-path", inputs / "a.png", "--outputs-path", outputs, *options, **variables)
    assert done.returncode == 0, done.stderr
    for table in ("faces.csv", "tracks.csv"):
        with (outputs / table).open(newline="") as file:
            (row,) = csv.DictReader(file)
        assert (row["gender"] == "unsure") is unsure
        assert 0.5 <= float(row["gender_probability"]) < 1


def test_undecodable_names_and_unwritable_outputs_do_not_stop_the_run(
    inputs: Path, quick_clip: Path, tmp_path: Path
) -> None:
    outputs = tmp_path / "outputs"
    for suffix, source in ((b".png", inputs / "a.png"), (b".mp4", quick_clip)):
        Path(os.fsdecode(os.fsencode(inputs) + b"/caf\xe9" + suffix)).write_bytes(
            source.read_bytes()
        )
    (outputs / "a.png.annotated.png.part").mkdir(parents=True)
    options = ("--models", "1,0,0", "--frame-stride", "25", "--detector", "own")
    done = run(inputs, "--outputs-path", outputs, *options)
    assert done.returncode == exits.SOME_FAILED, done.stderr
    assert "Traceback" not in done.stderr
    assert "a.png: Is a directory" in done.stderr
    with (outputs / "faces.csv").open(newline="", encoding="utf-8") as file:
        items = {row["item"] for row in csv.DictReader(file)}
    assert items == {"a.JPG", "caf?.mp4", "caf?.png", "sub/a.png"}
    copies = {os.fsencode(path.name) for path in outputs.glob("caf*")}
    assert copies == {b"caf\xe9.mp4.annotated.mp4", b"caf\xe9.png.annotated.png"}


def test_a_second_run_does_not_process_the_outputs_of_the_first(inputs: Path) -> None:
    for _ in range(2):
        run("--inputs-path", inputs, "--outputs-path", inputs / "outputs", "--models", "1,0,0")
    names = [path.name for path in (inputs / "outputs").rglob("*annotated*")]
    assert len(names) == 3


def test_without_annotated_copies_only_tables_are_written(inputs: Path, tmp_path: Path) -> None:
    run("--inputs-path", inputs / "a.png", "--outputs-path", tmp_path / "out", "--no-annotated")
    assert {path.suffix for path in (tmp_path / "out").iterdir()} == {".csv", ".jsonl", ".parquet"}


@pytest.mark.parametrize(
    ("arguments", "variables", "code", "message"),
    [
        (("--show",), {}, exits.FAILED, "screen"),
        (("--cam-num", "97"), {}, exits.FAILED, "Camera 97"),
        (("--models", "1,1"), {}, exits.USAGE, "models"),
        (("--unsure-below", "often"), {}, exits.USAGE, "is not a probability"),
        ((), {"FACES_JOBS_UNSURE_BELOW": "mood=1"}, exits.USAGE, "neither a model nor a head"),
        (("--cuda", "--device", "cpu"), {}, exits.USAGE, "contradict"),
        (("--inputs-path", "/nowhere"), {}, exits.USAGE, "does not exist"),
        (("/nowhere",), {}, exits.USAGE, "does not exist"),
        (("/dev/null",), {}, exits.FAILED, "neither a file nor a folder"),
        (("/", "--inputs-path", "/"), {}, exits.USAGE, "one of them"),
        (("--models-path", "/nowhere"), {}, exits.USAGE, "models folder"),
        (("--video-name", "../x"), {}, exits.USAGE, "--outputs-path"),
    ],
)
def test_invalid_arguments_and_missing_devices_are_reported(
    tmp_path: Path,
    arguments: tuple[str, ...],
    variables: dict[str, str],
    code: int,
    message: str,
) -> None:
    done = run("--outputs-path", tmp_path, *arguments, **variables)
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert "OpenCV" not in done.stderr, "messages of libraries are hidden"


def test_an_input_may_be_positional_and_have_a_long_name(inputs: Path, tmp_path: Path) -> None:
    folder, outputs = tmp_path / "long", tmp_path / "out"
    folder.mkdir()
    # As long as file names may be, and equal up to the point where output names are cut.
    for end in ("1", "2"):
        shutil.copy(inputs / "a.png", folder / f"{'é' * 125}{end}.png")
    done = run(folder, "--outputs-path", outputs, "--models", "1,0,0")
    assert done.returncode == 0, done.stderr
    assert len(list(outputs.glob("é*.annotated.png"))) == 2


def test_damaged_frames_are_reported_with_the_file_s_name(quick_clip: Path, tmp_path: Path) -> None:
    damaged = bytearray(quick_clip.read_bytes())
    middle = len(damaged) // 2
    damaged[middle : middle + 4000] = bytes(4000)
    (tmp_path / "damaged.mp4").write_bytes(damaged)
    options = ("--models", "0,0,0", "--no-annotated", "--detector", "own")
    done = run(tmp_path / "damaged.mp4", "--outputs-path", tmp_path / "out", *options)
    assert done.returncode == 0, done.stderr
    assert "file=damaged.mp4" in done.stderr
    assert re.search(
        r"^damaged\.mp4: 1 damaged frame was left out, or is shown in part$|"
        r"^damaged\.mp4: \d+ damaged frames were left out, or are shown in part$",
        done.stderr,
        re.MULTILINE,
    )


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = run("--inputs_path", tmp_path / "empty", "--outputs_path", tmp_path / "new" / "out")
    assert done.returncode == exits.FAILED
    assert "There are no files" in done.stderr
    assert not (tmp_path / "new").exists(), "no output folder is created"


def test_inputs_inside_the_outputs_folder_are_rejected(inputs: Path) -> None:
    for outputs in (inputs, inputs.parent):
        done = run(inputs, "--outputs-path", outputs)
        assert done.returncode == exits.USAGE
        assert "whose files are not read as inputs: choose another --outputs-path" in done.stderr


def frame_count(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def test_a_camera_recording_is_saved(quick_clip: Path, tmp_path: Path) -> None:
    # OpenCV accepts a file in place of a camera and delivers its frames in the same way.
    options = ("--video-name", "me", "--models", "1,0,0", "--frame-stride", "5")
    done = run("--cam_num", quick_clip, "--outputs-path", tmp_path, *options)
    assert done.returncode == 0, done.stderr
    assert frame_count(tmp_path / "me.annotated.mp4") == frame_count(quick_clip)
    with (tmp_path / "tracks.csv").open(newline="") as file:
        assert {row["item"] for row in csv.DictReader(file)} == {"me"}


def test_ctrl_c_saves_the_camera_recording(whole_clip: Path, tmp_path: Path) -> None:
    with subprocess.Popen(
        command("--cam-num", whole_clip, "--outputs-path", tmp_path), env=ENVIRONMENT
    ) as process:
        wait_for_file(tmp_path / "camera.annotated.mp4.part", process)
        process.send_signal(signal.SIGINT)
        assert process.wait(TIMEOUT_SECONDS) == 0
    assert 0 < frame_count(tmp_path / "camera.annotated.mp4") < frame_count(whole_clip)
    assert (tmp_path / "faces.csv").is_file()


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_reports_unfinished_inputs_and_keeps_its_tables(
    whole_clip: Path, tmp_path: Path, signal_number: signal.Signals
) -> None:
    inputs, outputs, spools = tmp_path / "inputs", tmp_path / "outputs", tmp_path / "tmp"
    inputs.mkdir()
    spools.mkdir()
    for name in ("v1.mp4", "v2.mp4", "v3.mp4"):
        (inputs / name).symlink_to(whole_clip)
    with subprocess.Popen(
        command(inputs, "--outputs-path", outputs),
        env={**ENVIRONMENT, "TMPDIR": str(spools)},
        stderr=subprocess.PIPE,
    ) as process:
        wait_for_file(outputs / "v1.mp4.annotated.mp4.part", process)
        process.send_signal(signal_number)
        log = process.communicate(timeout=TIMEOUT_SECONDS)[1].decode()
    assert process.returncode == exits.INTERRUPTED, log
    assert "0 done, 0 failed" in log
    (last,) = re.findall(
        r"^interrupted: v1\.mp4 up to frame (\d+), 2 inputs not started$", log, re.MULTILINE
    )
    assert frame_count(outputs / "v1.mp4.annotated.mp4") == int(last) + 1
    assert {path.name for path in outputs.glob("*.csv")} == {"faces.csv", "tracks.csv"}
    assert not [path for path in spools.iterdir() if path.is_dir()]


def wait_for_file(path: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not (path.exists() and path.stat().st_size):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)

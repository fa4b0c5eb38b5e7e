"""Drawing a part in runs: each frame once, and the same files on one core and on several."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import pytest

from faces_jobs.db.segments.part_queries import BestShot
from faces_jobs.errors import CancelledError
from faces_jobs.pipeline.cutting.cuts import plan_parts
from faces_jobs.pipeline.cutting.plan import NotCuttableError
from faces_jobs.pipeline.frames import open_part
from faces_jobs.pipeline.reading.video_reader import VideoReader
from faces_jobs.pipeline.values import Face
from faces_jobs.sinks.findings import write_linked
from faces_jobs.sinks.joined import join_parts
from faces_jobs.worker.stages.drawing_runs import Drawing, draw_part
from faces_jobs.worker.stages.encode_runs import MIN_FRAMES, split_into_runs
from tests import clips, factories

FRAMES = 2 * MIN_FRAMES + 20
SIZE = {"width": 128, "height": 96}
MAX_PIXELS = 20_000


@pytest.fixture
def drawing(tmp_path: Path) -> Drawing:
    """The drawing of a clip's second part, with a face in every third of its frames."""
    source = clips.write_video(
        tmp_path / "source.mp4",
        clips.moving_squares(FRAMES, **SIZE),
        codec_options={"g": "20", "bf": "2"},
    )
    with VideoReader(source, "mov", max_pixels=MAX_PIXELS) as reader:
        first_pts = reader.first_pts
    plan = plan_parts(source, "mov", max_pixels=MAX_PIXELS, first_pts=first_pts, seconds=2.4)
    part = plan.parts[1]
    assert part.frames >= MIN_FRAMES
    indices = range(part.first_frame, part.first_frame + part.frames, 3)
    linked = tmp_path / "linked.jsonl"
    write_linked(linked, [(index, [_face(index)]) for index in indices])
    shots = [
        BestShot(number, index, index * 40.0, _face(index).record.box_xyxy)
        for number, index in enumerate((indices[0], indices[-1]), start=1)
    ]
    out = tmp_path / "out"
    return Drawing(source, part, shots, linked, out, max_pixels=MAX_PIXELS, progress_interval=4)


def draw(drawing: Drawing, *, lanes: int) -> dict[str, bytes]:
    """Draw the part; return its files by name and keep them in the folder `out-LANES`."""
    drawing.out.mkdir()
    draw_part(drawing, lanes=lanes, on_progress=lambda: None)
    files = {path.name: path.read_bytes() for path in drawing.out.iterdir()}
    drawing.out.rename(drawing.out.with_name(f"out-{lanes}"))
    return files


def test_the_files_are_the_same_on_one_core_and_on_several(drawing: Drawing) -> None:
    files = draw(drawing, lanes=1)
    assert draw(drawing, lanes=2) == files
    # The part has two runs, with one best shot each.
    assert set(files) == {"2.nut", "2.json", "3.nut", "3.json", "1.jpg", "2.jpg"}


def test_the_joined_runs_show_every_frame_once(drawing: Drawing, tmp_path: Path) -> None:
    draw(drawing, lanes=2)
    parts = [tmp_path / "out-2" / name for name in ("2.nut", "3.nut")]
    with open_part(drawing.source, drawing.part, max_pixels=MAX_PIXELS) as reader:
        times = [frame.time_ms for frame in reader]
        info = reader.info
    joined = tmp_path / "joined.mp4"
    count = join_parts(
        parts,
        joined,
        info=info,
        source=drawing.source,
        last_duration_ms=40.0,
        on_progress=lambda: None,
    )
    with av.open(str(joined)) as container:
        shown = [(frame.time or 0.0) * 1000 for frame in container.decode(video=0)]
    assert count == len(times) == drawing.part.frames
    assert [time - shown[0] for time in shown] == pytest.approx(
        [time - times[0] for time in times], abs=0.01
    )


def test_a_part_that_is_short_or_has_no_copy_is_one_run(drawing: Drawing) -> None:
    assert len(split_into_runs(drawing.part, annotated=True)) == 2
    assert len(split_into_runs(drawing.part, annotated=False)) == 1
    assert len(split_into_runs(replace(drawing.part, frames=MIN_FRAMES - 1), annotated=True)) == 1
    assert set(draw(replace(drawing, linked=None), lanes=2)) == {"1.jpg", "2.jpg"}


@pytest.mark.parametrize("lanes", [1, 2])
def test_an_error_in_either_run_ends_both(drawing: Drawing, lanes: int) -> None:
    drawing.out.mkdir()
    longer = replace(drawing.part, frames=drawing.part.frames + 1)  # fails in the second run
    with pytest.raises(NotCuttableError, match="were planned"):
        draw_part(replace(drawing, part=longer), lanes=lanes, on_progress=lambda: None)

    calls = 0

    def cancel() -> None:
        nonlocal calls
        calls += 1
        if calls > 5:
            raise CancelledError

    with pytest.raises(CancelledError):
        draw_part(drawing, lanes=lanes, on_progress=cancel)
    assert not list(drawing.out.glob("*.part")), "unfinished files are removed"


def _face(index: int) -> Face:
    record = replace(factories.face(index), box_xyxy=(4.0, 4.0, 20.0 + index % 9, 24.0))
    return Face(record, {}, {}, quality=1.0)

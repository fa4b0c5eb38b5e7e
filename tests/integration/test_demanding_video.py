"""A 4K video of 120 frames per second with 500 faces per frame is processed in bounded memory."""

from __future__ import annotations

import re
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import pytest

from faces_jobs.jobs.status import JobStatus
from faces_jobs.results import get_job
from tests.clips import BLUE, GREEN, RED, Square, picture, write_video
from tests.integration.harness import Harness

RATE, FACES = 120, 500
SIZE = (3840, 2160)
# Of the clips whose memory is compared. A quarter of the pixels, since encoding them takes longest.
LONG_SIZE = (1920, 1080)
LONG_FRAME_MB = 3 * LONG_SIZE[0] * LONG_SIZE[1] / 2**20

# Processes a clip and prints the status of its process, which tells the peak of its memory.
PEAK_OF_A_RUN = """
import sys
from pathlib import Path
import numpy as np
from faces_jobs.pipeline.frames import open_frames
from faces_jobs.pipeline.run import run_item
from faces_jobs.pipeline.values import Detections
from faces_jobs.sinks.annotated import open_annotated
from faces_jobs.sinks.spool import FaceSpool
from faces_jobs.sinks.thumbnails import Thumbnails
from tests.fakes import ColourClassifier, analysis
from tests.integration.harness import SMALL_FACES

class KnownBoxes:
    "Returns known boxes: finding squares would take longer than all the rest."

    def detect(self, pictures_bgr):
        boxes = np.array([(60 + 150 * x, 30, 108 + 150 * x, 78) for x in range(12)], np.float32)
        return [Detections(boxes, np.full(12, 0.9, np.float32))] * len(pictures_bgr)

clip, folder = Path(sys.argv[1]), Path(sys.argv[2])
folder.mkdir()
with (
    open_frames(clip, max_pixels=10**8) as reader,
    FaceSpool(folder / "faces") as spool,
    Thumbnails(folder) as thumbnails,
    open_annotated(folder / "copy", reader.info, clip) as copy,
):
    report = run_item(
        reader,
        analysis(SMALL_FACES, detector=KnownBoxes(), classifiers=[ColourClassifier("gender")]),
        [spool, thumbnails, copy],
        batch_size=8,
        lanes=2,
        on_progress=lambda _done, _total: None,
    )
    assert report.faces == 12 * int(sys.argv[3])
print(Path("/proc/self/status").read_text())
"""


def crowd(
    path: Path, frames: int, *, rows: int, columns: int = 25, size: tuple[int, int] = SIZE
) -> Path:
    """Write a clip with rows and columns of faces, each 48 pixels wide."""
    squares = [
        Square(60 + 150 * column, 30 + 105 * row, 48, (RED, GREEN, BLUE)[(column + row) % 3])
        for column in range(columns)
        for row in range(rows)
    ]
    drawn = picture(squares, width=size[0], height=size[1])
    return write_video(
        path, [drawn] * frames, rate=RATE, codec_options={"preset": "ultrafast", "g": "30"}
    )


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # only the frames are demanding
def test_a_crowd_is_processed_keeps_its_times_and_reports_its_rate(
    harness: Harness, tmp_path: Path
) -> None:
    frames = 2
    job_id = harness.submit(crowd(tmp_path / "crowd.mp4", frames, rows=FACES // 25))
    harness.work(job_id)

    job = get_job(harness.worker.database, job_id)
    assert job.status is JobStatus.SUCCEEDED
    (item,) = harness.items(job_id)
    assert (item.width, item.height) == SIZE
    assert (item.face_count, item.track_count) == (frames * FACES, FACES)
    assert job.progress.frames_done == frames
    assert job.progress.frames_per_second is not None
    assert job.progress.frames_per_second > 0
    copy = next(each for each in harness.artifacts(job_id) if each.kind == "annotated_video")
    with av.open(str(harness.path(copy))) as container:
        times = [(frame.pts or 0) * (frame.time_base or 0) for frame in container.decode(video=0)]
    assert times == [Fraction(index, RATE) for index in range(frames)]


@pytest.mark.skipif(
    sys.platform != "linux", reason="other systems report a process's peak differently"
)
def test_memory_does_not_grow_with_the_length_of_the_video(tmp_path: Path) -> None:
    def peak_mb(frames: int) -> float:
        clip = crowd(tmp_path / f"{frames}.mp4", frames, rows=1, columns=12, size=LONG_SIZE)
        output = subprocess.run(
            [
                sys.executable,
                "-c",
                PEAK_OF_A_RUN,
                str(clip),
                str(tmp_path / f"out-{frames}"),
                str(frames),
            ],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        found = re.search(r"VmHWM:\s+(\d+) kB", output)
        assert found
        return int(found.group(1)) / 1024

    # The short clip fills all buffers, however busy the machine is.
    short, long = 96, 160
    assert peak_mb(long) - peak_mb(short) < (long - short) * LONG_FRAME_MB / 4

"""One still picture from its reader to its sinks, in the thread that asks.

The stages are those of `run.run_item`, without its threads: of one frame no stage could overlap
with another, and to start and end two threads takes as long as a small picture's drawing does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from faces_jobs.jobs.spec import JobSpec
from faces_jobs.pipeline.crops import crop_pictures
from faces_jobs.pipeline.decoding import Decoding
from faces_jobs.pipeline.detecting import Detecting
from faces_jobs.pipeline.following import Follower
from faces_jobs.pipeline.judging import Judge
from faces_jobs.pipeline.mirrored import asked_of
from faces_jobs.pipeline.run import ended
from faces_jobs.pipeline.sampling import Sampling
from faces_jobs.pipeline.settling import Settler
from faces_jobs.pipeline.stages import Classifier, Cropper, Detector, FrameReader, Sink, Tracker
from faces_jobs.pipeline.timing import StageSeconds
from faces_jobs.pipeline.unsure import thresholds_of_all
from faces_jobs.pipeline.values import RunReport


def run_still(
    reader: FrameReader,
    *,
    detector: Detector,
    tracker: Tracker,
    classifiers: Sequence[Classifier],
    spec: JobSpec,
    sinks: Sequence[Sink],
    cropper: Cropper = crop_pictures,
    unsure_below: str = "",
) -> RunReport:
    """Work through an item of one frame; the arguments and the report are those of `run_item`.

    Raises:
        TruncatedError: the frame is not whole.
        MediaError: the reader can't go on.
    """
    asked = asked_of(classifiers, spec, reader.info)
    seconds = StageSeconds()
    decoding = Decoding(reader, Sampling(spec), seconds, batch_size=1)
    detecting = Detecting(detector, spec, seconds)
    follower = Follower(tracker)
    judge = Judge(asked, cropper, seconds)
    thresholds = thresholds_of_all(asked, unsure_below, spec.unsure_below)
    settler = Settler(sinks, thresholds, seconds)
    for batch in decoding:
        found = detecting.find(batch, _turn)
        with seconds.of("track"):
            follower.follow(batch, found)
        judge.judge(batch, _turn)
        settler.settle(batch)
    return ended(decoding, settler, seconds, waiting=StageSeconds())


@contextmanager
def _turn(_name: str) -> Iterator[None]:
    """It is always this frame's."""
    yield

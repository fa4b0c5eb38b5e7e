"""One item from its frames to its sinks, in stages that overlap: each at work on another batch."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from faces_jobs.jobs.spec import JobSpec
from faces_jobs.pipeline.batches import Batch
from faces_jobs.pipeline.conveyor import Conveyor, StoppedError
from faces_jobs.pipeline.crops import crop_pictures
from faces_jobs.pipeline.decoding import Decoding
from faces_jobs.pipeline.detecting import Detecting
from faces_jobs.pipeline.following import Follower
from faces_jobs.pipeline.judging import Judge
from faces_jobs.pipeline.mirrored import asked_of
from faces_jobs.pipeline.reclassify import Reclassification
from faces_jobs.pipeline.redetect import Redetection
from faces_jobs.pipeline.sampling import Sampling
from faces_jobs.pipeline.settling import Settler
from faces_jobs.pipeline.stages import Classifier, Cropper, Detector, FrameReader, Sink, Tracker
from faces_jobs.pipeline.stretches import Stretches
from faces_jobs.pipeline.timing import StageSeconds
from faces_jobs.pipeline.unsure import thresholds_of_all
from faces_jobs.pipeline.values import RunReport

Progress = Callable[[int, int | None], None]
"""Called with the frames that are done and those there are (None: not known)."""

# Batches beside those in the lanes: one that is decoded meanwhile, one that sinks are at.
_BATCHES_AROUND = 2


def run_item(
    reader: FrameReader,
    *,
    detector: Detector,
    tracker: Tracker,
    classifiers: Sequence[Classifier],
    spec: JobSpec,
    sinks: Sequence[Sink],
    batch_size: int,
    on_progress: Progress,
    lanes: int = 1,
    cropper: Cropper = crop_pictures,
    sampling: Sampling | None = None,
    unsure_below: str = "",
) -> RunReport:
    """Work through one item and hand each of its frames, then its tracks, to the sinks.

    One thread decodes. Each lane, a thread too, takes a batch: detects, waits for its turn to
    follow the faces, then has them judged. This thread settles votes and feeds the sinks.
    Results depend neither on `batch_size` nor on `lanes`. Memory is that of `lanes` + 2 batches;
    where the spec lets frames be spared, each is longer by up to one stretch.
    Sinks, like the reader, are opened and closed by whoever made them.

    Args:
        reader: the item's frames; iterated once, in another thread, which has ended on return.
        detector: finds faces; those below the spec's threshold or size are left out.
        tracker: a new one for this item.
        classifiers: those whose model the spec has switched off are not asked. They and the
            detector are used by several threads at once.
        spec: the job's options.
        sinks: take every frame; one that is not analysed comes with the
            faces of the last that was.
        batch_size: frames that travel together; fewer where they are large, and at the end.
        on_progress: called after each batch. What it raises (`CancelledError`, ...) ends the run.
        lanes: batches that are looked at at once; more than the machine has cores gain nothing.
        cropper: cuts faces out for the classifiers; theirs, where they are not on the CPU.
        sampling: which frames are analysed, where the reader begins in the midst of an item.
        unsure_below: the setting of that name: below which probability answers are `unsure`
            where the spec does not say it. Empty: each model's own.

    Returns:
        The counts, with `truncated` set where the file broke off: its sinks are finished too.

    Raises:
        TruncatedError: not one frame was whole.
        MediaError: the reader can't go on.
    """
    asked = asked_of(classifiers, spec, reader.info)
    seconds, waiting = StageSeconds(), StageSeconds()
    thresholds = thresholds_of_all(asked, unsure_below, spec.unsure_below)
    decoding = Decoding(
        reader,
        sampling or Sampling(spec),
        seconds,
        batch_size=batch_size,
        lanes=lanes,
        stretches=Stretches.wanted(spec, reader.info),
    )
    every = Detecting(detector, spec, seconds)
    detecting = every if spec.detect_every == "1" else Redetection(every, spec)
    follower = Follower(tracker)
    each = Judge(asked, cropper, seconds)
    judging = each if spec.classify == "every" else Reclassification(each, asked, thresholds)
    settler = Settler(sinks, thresholds, seconds)
    conveyor = Conveyor[Batch](most=lanes + _BATCHES_AROUND, waiting=waiting)

    def look_at(number: int, batch: Batch) -> None:
        turn = partial(conveyor.turn, number)
        with seconds.of("decode"):  # the rest of it: several lanes make several pictures at once
            for frame in batch.analysed:
                _ = frame.picture_bgr
        found = detecting.find(batch, turn)
        with turn("track"), seconds.of("track"):
            follower.follow(batch, found)
        judging.judge(batch, turn)

    with _threads(conveyor, decoding, [lambda: conveyor.work(look_at)] * lanes):
        total = reader.info.frame_count
        for batch in conveyor:
            settler.settle(batch)
            done = settler.frames_read
            on_progress(done, None if total is None else max(total, done))
            del batch  # its frames are not to be held while this waits for the next
    return ended(decoding, settler, seconds, waiting)


def ended(
    decoding: Decoding, settler: Settler, seconds: StageSeconds, waiting: StageSeconds
) -> RunReport:
    """Finish the sinks of an item that was read to its end, or to where it breaks off.

    Raises:
        TruncatedError: not one frame was whole.
    """
    if decoding.truncated is not None and not settler.frames_read:
        raise decoding.truncated
    tracks = settler.finish()
    return RunReport(
        frames_read=settler.frames_read,
        frames_analysed=settler.frames_analysed,
        faces=settler.faces,
        tracks=len(tracks),
        truncated=decoding.truncated,
        damaged_frames=decoding.damaged_frames,
        stage_seconds=seconds.so_far(),
        waiting_seconds=waiting.so_far(),
    )


@contextmanager
def _threads(
    conveyor: Conveyor[Batch], source: Decoding, lanes: Sequence[Callable[[], None]]
) -> Iterator[None]:
    """Decoding and lanes run while the block does; all of them have ended after it."""

    def decode() -> None:
        try:
            for batch in source:
                conveyor.put(batch)
                del batch
            conveyor.end()
        except StoppedError:
            return
        except BaseException as error:  # noqa: BLE001 (raised again where batches are taken off)
            conveyor.fail_source(error)

    threads = []
    for name, target in [("decode", decode), *(("lane", lane) for lane in lanes)]:
        # Their log lines are about the same work: a thread begins with an empty context.
        here = contextvars.copy_context()
        threads.append(threading.Thread(target=here.run, args=(target,), name=name, daemon=True))
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        conveyor.stop()
        for thread in threads:
            thread.join()

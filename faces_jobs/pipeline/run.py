"""Runs one item through all stages, which overlap unless it is a still image."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial

from faces_jobs.pipeline.analysis import Analysis
from faces_jobs.pipeline.batches import Batch
from faces_jobs.pipeline.conveyor import Conveyor, StoppedError
from faces_jobs.pipeline.item_stages import ItemStages
from faces_jobs.pipeline.protocols import FrameReader, Sink
from faces_jobs.pipeline.values import RunReport

Progress = Callable[[int, int | None], None]
"""Called with the number of frames that are done and their total (None: unknown)."""
Counting = Callable[[RunReport], None]
"""Called with the counts so far, in which no tracks are counted until all are."""

# Batches in memory besides those in the lanes: one being decoded, one in the sinks.
_EXTRA_BATCHES = 2


def run_item(
    reader: FrameReader,
    analysis: Analysis,
    sinks: Sequence[Sink],
    *,
    batch_size: int,
    on_progress: Progress,
    lanes: int = 1,
    after_ms: float | None = None,
    on_counts: Counting = lambda _report: None,
) -> RunReport:
    """Analyse one item and pass each of its frames, then its tracks, to the sinks.

    Results depend neither on `batch_size` nor on `lanes`. Memory is bounded by `lanes` + 2
    batches; if the spec allows frames to be skipped, each is longer by up to one stretch.
    The caller opens and closes the reader and the sinks.

    Args:
        reader: the frames of the item. It is iterated once: for a still by the caller's thread,
            otherwise by another one that has ended on return.
        analysis: what the frames are analysed with.
        sinks: receive every frame; one that is not analysed comes with the faces of the last one
            that was.
        batch_size: frames per batch; fewer if they are large, and at the end.
        on_progress: called after each batch. An exception that it raises (`CancelledError`, ...)
            ends the run.
        lanes: how many batches are analysed at once; more lanes than cores gain nothing.
        after_ms: if the reader starts in the middle of an item, the time of the last earlier
            frame that the spec's stride selects.
        on_counts: called after each batch, and when the run has ended, with an error or without.

    Returns:
        The counts, with `truncated` set if the file is cut off; its sinks are finished as well.

    Raises:
        TruncatedError: the file is cut off before the end of its first frame.
        MediaError: the reader failed.
    """
    stages = ItemStages(
        reader, analysis, sinks, batch_size=batch_size, lanes=lanes, after_ms=after_ms
    )
    total = reader.info.frame_count

    def report(done: int) -> None:
        on_counts(stages.report())
        on_progress(done, None if total is None else max(total, done))

    try:
        if reader.info.is_still:
            run_sequentially(stages, report)
        else:
            run_overlapping(stages, report, lanes=lanes)
        return stages.finish()
    finally:
        on_counts(stages.report())


def run_sequentially(stages: ItemStages, report: Callable[[int], None]) -> None:
    """Run all stages in the calling thread.

    With a single frame there is nothing to overlap, and starting and joining two threads takes as
    long as drawing a small picture.
    """
    for batch in stages.decode_stage:
        stages.analyse(batch, lambda _name: nullcontext())
        report(stages.settle(batch))


def run_overlapping(stages: ItemStages, report: Callable[[int], None], *, lanes: int) -> None:
    """Decode in one thread and analyse in `lanes` others, each of which takes a batch at a time.

    The calling thread settles the batches.
    """
    conveyor = Conveyor[Batch](max_batches=lanes + _EXTRA_BATCHES, wait_timer=stages.wait_timer)

    def run_lane() -> None:
        conveyor.work(lambda number, batch: stages.analyse(batch, partial(conveyor.turn, number)))

    with _threads(conveyor, stages.decode_stage, [run_lane] * lanes):
        for batch in conveyor:
            report(stages.settle(batch))
            del batch  # release its frames before waiting for the next one


@contextmanager
def _threads(
    conveyor: Conveyor[Batch], source: Iterable[Batch], lanes: Sequence[Callable[[], None]]
) -> Iterator[None]:
    """Decode and run the lanes in threads during the block; all of them have ended after it."""

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
        # New threads start with an empty context, but their log lines belong to the same job.
        context = contextvars.copy_context()
        threads.append(threading.Thread(target=context.run, args=(target,), name=name, daemon=True))
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        conveyor.stop()
        for thread in threads:
            thread.join()

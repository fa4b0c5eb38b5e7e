"""One item from its frames to its sinks, in stages that overlap where it is no still."""

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
from faces_jobs.pipeline.stages import FrameReader, Sink
from faces_jobs.pipeline.values import RunReport

Progress = Callable[[int, int | None], None]
"""Called with the frames that are done and those there are (None: not known)."""

# Batches beside those in the lanes: one that is decoded meanwhile, one that sinks are at.
_BATCHES_AROUND = 2


def run_item(
    reader: FrameReader,
    analysis: Analysis,
    sinks: Sequence[Sink],
    *,
    batch_size: int,
    on_progress: Progress,
    lanes: int = 1,
    after_ms: float | None = None,
) -> RunReport:
    """Work through one item and hand each of its frames, then its tracks, to the sinks.

    Results depend neither on `batch_size` nor on `lanes`. Memory is that of `lanes` + 2 batches;
    where the spec lets frames be spared, each is longer by up to one stretch.
    Sinks, like the reader, are opened and closed by whoever made them.

    Args:
        reader: the item's frames; iterated once, if it is no still in another thread, which has
            ended on return.
        analysis: what the frames are analysed with.
        sinks: take every frame; one that is not analysed comes with the
            faces of the last that was.
        batch_size: frames that travel together; fewer where they are large, and at the end.
        on_progress: called after each batch. What it raises (`CancelledError`, ...) ends the run.
        lanes: batches that are looked at at once; more than the machine has cores gain nothing.
        after_ms: where the reader begins in the midst of an item: the time of the last frame
            before, of those that the spec's stride takes.

    Returns:
        The counts, with `truncated` set where the file broke off: its sinks are finished too.

    Raises:
        TruncatedError: not one frame was whole.
        MediaError: the reader can't go on.
    """
    stages = ItemStages(
        reader, analysis, sinks, batch_size=batch_size, lanes=lanes, after_ms=after_ms
    )
    tell = partial(_tell, on_progress, reader.info.frame_count)
    if reader.info.is_still:
        run_sequentially(stages, tell)
    else:
        run_overlapping(stages, tell, lanes=lanes)
    return stages.finish()


def run_sequentially(stages: ItemStages, tell: Callable[[int], None]) -> None:
    """All stages in the thread that asks.

    Of one frame no stage could overlap with another, and to start and end two threads takes as
    long as a small picture's drawing does.
    """
    for batch in stages.decoding:
        stages.look_at(batch, lambda _name: nullcontext())
        tell(stages.settle(batch))


def run_overlapping(stages: ItemStages, tell: Callable[[int], None], *, lanes: int) -> None:
    """One thread decodes. Each lane, a thread too, takes a batch and looks at it.

    This thread settles votes and feeds the sinks.
    """
    conveyor = Conveyor[Batch](most=lanes + _BATCHES_AROUND, waiting=stages.waiting)

    def work() -> None:
        conveyor.work(lambda number, batch: stages.look_at(batch, partial(conveyor.turn, number)))

    with _threads(conveyor, stages.decoding, [work] * lanes):
        for batch in conveyor:
            tell(stages.settle(batch))
            del batch  # its frames are not to be held while this waits for the next


def _tell(on_progress: Progress, total: int | None, done: int) -> None:
    on_progress(done, None if total is None else max(total, done))


@contextmanager
def _threads(
    conveyor: Conveyor[Batch], source: Iterable[Batch], lanes: Sequence[Callable[[], None]]
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

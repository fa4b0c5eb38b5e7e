"""Links the parts of an item: tracks and votes, as one run over the whole would make them.

Where this worker has linked each part as it found it (`linking_ahead`), rows of faces are there.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence, Set
from pathlib import Path

from faces_jobs.db.claims import SegmentClaim
from faces_jobs.db.outcomes import ItemFacts
from faces_jobs.db.part_queries import PartSpan, files_of, parts_of
from faces_jobs.db.parts import LinkResults, finish_link, write_faces
from faces_jobs.jobs.records import ModelVersion, TrackRecord
from faces_jobs.pipeline.linking import FoundFrame, Linker
from faces_jobs.pipeline.values import Face
from faces_jobs.pipeline.voting import UnsureBelow
from faces_jobs.sinks.findings import read_findings, read_header, write_linked
from faces_jobs.sinks.portraits import unpack_portraits
from faces_jobs.worker.attempt import SegmentAttempt, attempt_at
from faces_jobs.worker.encode_runs import part_of
from faces_jobs.worker.resources import Worker
from faces_jobs.worker.stage_files import (
    DRAWN,
    FOUND,
    PORTRAITS,
    publish_stage_files,
    stage_files,
)

_REPORT_EVERY = 64

_log = logging.getLogger(__name__)


def link(claim: SegmentClaim, worker: Worker) -> bool:
    """Link what was found. True: the job is to be finished now.

    Raises:
        StorageFullError, CancelledError, LeaseLostError, ...: as for whole items.
    """
    with attempt_at(claim, worker) as attempt:
        parts = parts_of(worker.database, claim.item_id)
        found = files_of(worker.database, claim.item_id, FOUND)
        is_drawn = {part_of(run) for run in files_of(worker.database, claim.item_id, DRAWN)}
        to_copy = (found.keys() if claim.spec.annotated else set()) - is_drawn
        linked = worker.lead.take(claim.item_id, len(parts), found)
        first = min(found) if linked is not None else None
        files = stage_files(attempt, FOUND, only=first)
        header = read_header(next(iter(files.values())))
        if linked is not None:
            tracks = linked.linker.tracks()
        else:
            tracks = _link(attempt, parts, files, header["unsure_below"], to_copy)
        portraits = stage_files(attempt, PORTRAITS)
        draws = []
        for number, (start_frame, end_frame, part) in enumerate(parts):
            best = _best_in(tracks, start_frame, end_frame)
            is_kept = number in portraits and unpack_portraits(portraits[number], best, attempt.out)
            if number in to_copy or (number in found and best and not is_kept):
                draws.append(part)
        results = LinkResults(
            facts=ItemFacts(**header["facts"]),
            tracks=tracks,
            models=[ModelVersion(**model) for model in header["models"]],
            files=publish_stage_files(attempt),
            draws=draws,
        )
        ended = attempt.record(lambda: finish_link(worker.database, claim, results))
    _log.info("linked %d parts: %d tracks", len(found), len(tracks))
    return bool(ended)


def _link(
    attempt: SegmentAttempt,
    parts: Sequence[PartSpan],
    files: Mapping[int, Path],
    unsure_below: UnsureBelow,
    to_copy: Set[int],
) -> list[TrackRecord]:
    """Go over what was found in all parts: write their faces' rows, and what is to be drawn."""
    linker = Linker(unsure_below)
    shown: Sequence[tuple[int, Sequence[Face]]] = []  # of the last frame that was analysed
    for number, (start_frame, end_frame, _) in enumerate(parts):
        findings = _findings(files.get(number), unsure_below)
        frames = list(_beating(linker.link_part(findings), attempt))
        # In a transaction for each part: the rows of a film at once would keep all others of this
        # database waiting.
        write_faces(
            attempt.worker.database,
            attempt.claim,
            (face.record for _, faces in frames for face in faces),
            start_frame=start_frame,
            end_frame=end_frame,
        )
        attempt.goes_on()
        if number in to_copy:
            write_linked(attempt.out / f"{number}.linked.jsonl", [*shown, *frames])
        shown = frames[-1:] or shown
    return linker.tracks()


def _findings(path: Path | None, unsure_below: UnsureBelow) -> Iterator[FoundFrame]:
    """What was found in a part; nothing where it failed."""
    return iter(()) if path is None else read_findings(path, unsure_below)


def _beating(
    frames: Iterator[tuple[int, list[Face]]], attempt: SegmentAttempt
) -> Iterator[tuple[int, list[Face]]]:
    for count, frame in enumerate(frames):
        if count % _REPORT_EVERY == 0:
            attempt.goes_on()
        yield frame


def _best_in(
    tracks: Sequence[TrackRecord], start_frame: int, end_frame: int | None
) -> list[TrackRecord]:
    """The tracks that are seen best in these frames."""
    return [
        track
        for track in tracks
        if start_frame <= track.best_frame_index
        and (end_frame is None or track.best_frame_index < end_frame)
    ]

"""The link stage: tracks and votes over all parts, as one run over the whole video would give.

If this worker has linked each part while finding it (`linking_ahead`), the faces' rows exist.
"""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import Any

from faces_jobs.db.claims.fencing import SegmentClaim
from faces_jobs.db.results.outcomes import ItemFacts
from faces_jobs.db.segments.part_queries import PartSpan, files_of, parts_of
from faces_jobs.db.segments.parts import LinkResults, finish_link, write_faces
from faces_jobs.jobs.records import ModelVersion, TrackRecord
from faces_jobs.pipeline.cutting.plan import NotCuttableError
from faces_jobs.pipeline.linking import FoundFrame, Linker
from faces_jobs.pipeline.values import Face
from faces_jobs.pipeline.voting import UnsureBelow
from faces_jobs.sinks.findings import read_findings, read_header, write_linked
from faces_jobs.sinks.portraits import unpack_portraits
from faces_jobs.worker.attempt import SegmentAttempt, segment_attempt
from faces_jobs.worker.resources import Worker
from faces_jobs.worker.stages.encode_runs import part_number_of
from faces_jobs.worker.stages.files import (
    DRAWN,
    FOUND,
    PORTRAITS,
    publish_stage_files,
    stage_files,
)

_PROGRESS_INTERVAL = 64  # frames

_log = logging.getLogger(__name__)


def link(claim: SegmentClaim, worker: Worker) -> bool:
    """Link the faces of all parts. True: the job can be finished now.

    Raises:
        NotCuttableError: a stage file is missing, or parts were found by different networks.
        Exception: whatever `segment_attempt` raises.
    """
    with segment_attempt(claim, worker) as attempt:
        parts = parts_of(worker.database, claim.item_id)
        found = files_of(worker.database, claim.item_id, FOUND)
        drawn = {part_number_of(run) for run in files_of(worker.database, claim.item_id, DRAWN)}
        to_draw = (found.keys() if claim.spec.annotated else set()) - drawn
        linked = worker.linking_state.take(claim.item_id, len(parts), found)
        # If the parts are linked already, only the header of one file is needed.
        needed = min(found) if linked is not None else None
        files = stage_files(attempt, FOUND, only=needed)
        headers = [read_header(path) for path in files.values()]
        header = headers[0]
        if linked is not None:
            tracks = linked.linker.tracks()
        else:
            _check_same_networks(headers)
            tracks = _link(attempt, parts, files, header["unsure_below"], to_draw)
        portraits = stage_files(attempt, PORTRAITS)
        parts_to_draw, shots = [], _BestShots(tracks)
        for number, (start_frame, end_frame, part) in enumerate(parts):
            best = shots.within(start_frame, end_frame)
            has_shots = number in portraits and unpack_portraits(
                portraits[number], best, attempt.out
            )
            if number in to_draw or (number in found and best and not has_shots):
                parts_to_draw.append(part)
        results = LinkResults(
            facts=ItemFacts(**header["facts"]),
            tracks=tracks,
            models=[ModelVersion(**model) for model in header["models"]],
            files=publish_stage_files(attempt),
            draws=parts_to_draw,
        )
        job_done = attempt.record(lambda: finish_link(worker.database, claim, results))
    _log.info("linked %d parts: %d tracks", len(found), len(tracks))
    return bool(job_done)


def _check_same_networks(headers: Sequence[Mapping[str, Any]]) -> None:
    """Check that all parts were found by the networks that the item's rows will name.

    A restart may have brought other weights or another detector. Versions are compared, not
    hashes: on a GPU the same network has another file than on a CPU.
    """
    versions = {
        ", ".join(f"{model['name']} {model['version']}" for model in header["models"])
        for header in headers
    }
    if len(versions) > 1:
        raise NotCuttableError(
            f"its parts were found by different networks: {'; '.join(sorted(versions))}"
        )


def _link(
    attempt: SegmentAttempt,
    parts: Sequence[PartSpan],
    files: Mapping[int, Path],
    unsure_below: UnsureBelow,
    to_draw: Set[int],
) -> list[TrackRecord]:
    """Link the findings of all parts, writing their faces' rows and the faces to be drawn.

    Returns the tracks.
    """
    linker = Linker(unsure_below)
    shown: Sequence[tuple[int, Sequence[Face]]] = []  # the last frame that was analysed
    for number, (start_frame, end_frame, _) in enumerate(parts):
        findings = _findings(files.get(number), unsure_below)
        frames = list(_keeping_alive(linker.link_part(findings), attempt))
        # One transaction per part: writing the rows of a whole film at once would block all other
        # writers.
        write_faces(
            attempt.worker.database,
            attempt.claim,
            (face.record for _, faces in frames for face in faces),
            start_frame=start_frame,
            end_frame=end_frame,
        )
        attempt.keep_alive()
        if number in to_draw:
            write_linked(attempt.out / f"{number}.linked.jsonl", [*shown, *frames])
        shown = frames[-1:] or shown
    return linker.tracks()


def _findings(path: Path | None, unsure_below: UnsureBelow) -> Iterator[FoundFrame]:
    """The findings of a part; none if the part failed."""
    return iter(()) if path is None else read_findings(path, unsure_below)


def _keeping_alive(
    frames: Iterator[tuple[int, list[Face]]], attempt: SegmentAttempt
) -> Iterator[tuple[int, list[Face]]]:
    """Pass the frames on, and report activity to the heartbeat at intervals."""
    for count, frame in enumerate(frames):
        if count % _PROGRESS_INTERVAL == 0:
            attempt.keep_alive()
        yield frame


class _BestShots:
    """The tracks in the order of their best shots, so that those of a part are found at once."""

    def __init__(self, tracks: Sequence[TrackRecord]) -> None:
        self._tracks = sorted(tracks, key=_best_frame)

    def within(self, start_frame: int, end_frame: int | None) -> Sequence[TrackRecord]:
        """The tracks whose best shot is in these frames."""
        start = bisect_left(self._tracks, start_frame, key=_best_frame)
        if end_frame is None:
            return self._tracks[start:]
        return self._tracks[start : bisect_left(self._tracks, end_frame, key=_best_frame)]


def _best_frame(track: TrackRecord) -> int:
    return track.best_frame_index

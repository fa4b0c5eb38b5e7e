"""The find stage: finds the faces of one part, and stores what the link stage needs.

A worker that has found all parts before this one may also link and draw it while it finds faces.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from typing import Any

from faces_jobs.db.claims.fencing import SegmentClaim
from faces_jobs.db.segments.parts import finish_part
from faces_jobs.jobs.documents import ErrorDocument
from faces_jobs.pipeline.cutting.plan import Part
from faces_jobs.pipeline.frames import open_part
from faces_jobs.pipeline.protocols import Sink
from faces_jobs.pipeline.run import run_item
from faces_jobs.pipeline.values import MediaInfo
from faces_jobs.sinks.findings import Findings
from faces_jobs.sinks.portraits import Portraits
from faces_jobs.worker.attempt import SegmentAttempt, segment_attempt
from faces_jobs.worker.facts import RunCounter, facts_of, models_of
from faces_jobs.worker.resources import Worker
from faces_jobs.worker.stages.drawing_ahead import DrawingAhead
from faces_jobs.worker.stages.files import FOUND, publish_stage_files
from faces_jobs.worker.stages.linking_ahead import LinkingAhead, linking_ahead

_log = logging.getLogger(__name__)


def find(claim: SegmentClaim, worker: Worker) -> bool:
    """Find the faces of one part. True: the job can be finished now.

    Raises:
        NotCuttableError: the part is not what was planned.
        MediaError: the file can't be read.
        Exception: whatever `segment_attempt` raises.
    """
    settings = worker.settings
    part = Part.from_json(claim.part or {})
    with ExitStack() as stack:
        attempt = stack.enter_context(segment_attempt(claim, worker))
        analysis = worker.analysis_for(claim.spec)
        path = stack.enter_context(attempt.source())
        reader = stack.enter_context(open_part(path, part, max_pixels=settings.max_pixels))
        header = {
            "facts": asdict(facts_of(reader.info)),
            "models": [asdict(model) for model in models_of(analysis)],
            "unsure_below": analysis.thresholds,
        }
        linking = linking_ahead(claim, part, worker, analysis.thresholds)
        with _sinks(attempt, part, reader.info, header, linking) as sinks:
            report = run_item(
                reader,
                analysis,
                sinks,
                batch_size=settings.batch_size,
                lanes=worker.lanes,
                on_progress=attempt.heartbeat.progress,
                after_ms=part.sampled_ms,
                on_counts=RunCounter(worker.counters),
            )
        files = publish_stage_files(attempt)
        job_done = attempt.record(
            lambda: finish_part(
                worker.database,
                claim,
                files,
                faces=None if linking is None else linking.records,
                frames=report.frames_read,
                damaged_frames=report.damaged_frames,
                error=None
                if report.truncated is None
                else ErrorDocument.from_error(report.truncated),
            ),
        )
        if linking is not None:
            (found,) = [file.storage_key for file in files if file.kind == FOUND]
            worker.linking_state.keep(linking.linked, found)
    _log.info("part %d: %d frames, %d faces", part.number, report.frames_read, report.faces)
    return bool(job_done)


@contextmanager
def _sinks(
    attempt: SegmentAttempt,
    part: Part,
    info: MediaInfo,
    header: Mapping[str, Any],
    linking: LinkingAhead | None,
) -> Iterator[list[Sink]]:
    """Open the sinks of a part.

    Findings are always stored for the link stage. Best shots and drawn frames are written only if
    no draw stage will read the part again.
    """
    out, annotated = attempt.out, attempt.claim.spec.annotated
    with ExitStack() as opened:
        sinks: list[Sink] = []
        sinks.append(opened.enter_context(Findings(out / f"{part.number}.found.jsonl", header)))
        if linking is not None or not annotated:
            folder = attempt.workspace / "portraits"
            folder.mkdir()
            shots = out / f"{part.number}.portraits.zip"
            sinks.append(opened.enter_context(Portraits(shots, folder=folder)))
        if linking is not None:
            sinks.append(linking)
            if annotated:
                drawing = DrawingAhead(linking.linked, part, out, info)
                sinks.append(opened.enter_context(drawing))
        yield sinks

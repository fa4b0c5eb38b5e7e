"""Finds the faces of one part of a video; keeps what linking them goes by, and best shots.

Who found all parts before it links it as well, and draws it, in the same go.
"""

from __future__ import annotations

import logging
from contextlib import ExitStack
from dataclasses import asdict

from faces_jobs.db.claims import SegmentClaim
from faces_jobs.db.parts import finish_part
from faces_jobs.jobs.documents import ErrorDocument
from faces_jobs.pipeline.cuts import Part
from faces_jobs.pipeline.frames import open_part
from faces_jobs.pipeline.run import run_item
from faces_jobs.pipeline.sampling import Sampling
from faces_jobs.pipeline.stages import Sink
from faces_jobs.pipeline.tracking import OverlapTracker
from faces_jobs.pipeline.unsure import thresholds_of_all
from faces_jobs.sinks.findings import Findings
from faces_jobs.sinks.portraits import Portraits
from faces_jobs.storage import told_when_full
from faces_jobs.worker.between import FOUND, publish_between
from faces_jobs.worker.drawing_ahead import DrawingAhead
from faces_jobs.worker.facts import count_run, facts_of, models_of
from faces_jobs.worker.holding import Holding
from faces_jobs.worker.linking_ahead import linking_ahead
from faces_jobs.worker.record import Published, record
from faces_jobs.worker.resources import Worker
from faces_jobs.worker.source import open_source

_log = logging.getLogger(__name__)


def find(claim: SegmentClaim, worker: Worker) -> bool:
    """Work on one part. True: the job is to be finished now.

    Raises:
        NotCuttableError: the part is not what was planned.
        MediaError, StorageFullError, CancelledError, LeaseLostError, ...: as for whole items.
    """
    settings, storage, spec = worker.settings, worker.storage, claim.spec
    part = Part.of(claim.part or {})
    findings, shots = f"{part.number}.found.jsonl", f"{part.number}.portraits.zip"
    with ExitStack() as stack:
        heartbeat = stack.enter_context(Holding(claim, worker))
        stack.enter_context(told_when_full())
        detector = worker.networks.detector()
        classifiers = worker.networks.classifiers(spec.models)
        path = stack.enter_context(open_source(claim, storage=storage, roots=settings.roots))
        reader = stack.enter_context(open_part(path, part, max_pixels=settings.max_pixels))
        workspace = stack.enter_context(storage.workspace(claim.token))
        out = workspace / "out"
        out.mkdir()
        thresholds = thresholds_of_all(classifiers, settings.unsure_below, spec.unsure_below)
        models = models_of(detector, classifiers, settings.unsure_below, spec.unsure_below)
        header = {
            "facts": asdict(facts_of(reader.info)),
            "models": [asdict(model) for model in models],
            "unsure_below": thresholds,
        }
        linking = linking_ahead(claim, part, worker, thresholds)
        with ExitStack() as sinks:
            kept: list[Sink] = [sinks.enter_context(Findings(out / findings, header))]
            if linking is not None or not spec.annotated:  # else the part is read again anyway
                folder = workspace / "portraits"
                folder.mkdir()
                kept.append(sinks.enter_context(Portraits(out / shots, folder=folder)))
            if linking is not None:
                kept.append(linking)
                if spec.annotated:
                    drawing = DrawingAhead(linking.linked, part, out, reader.info)
                    kept.append(sinks.enter_context(drawing))
            report = run_item(
                reader,
                detector=detector,
                tracker=OverlapTracker(),
                classifiers=classifiers,
                cropper=worker.networks.cropper(),
                spec=spec,
                sinks=kept,
                batch_size=settings.batch_size,
                lanes=worker.lanes,
                on_progress=heartbeat.progress,
                sampling=Sampling(spec, after_ms=part.sampled_ms),
                unsure_below=settings.unsure_below,
            )
        count_run(report, worker)
        error = report.truncated
        files = publish_between(claim, worker, heartbeat, out)
        ended = record(
            worker,
            Published(claim.job_id, str(claim.item_id), claim.token),
            lambda: finish_part(
                worker.database,
                claim,
                files,
                faces=None if linking is None else linking.records,
                frames=report.frames_read,
                damaged_frames=report.damaged_frames,
                error=None if error is None else ErrorDocument(code=error.code, message=str(error)),
            ),
        )
        if linking is not None:
            (found,) = [file.storage_key for file in files if file.kind == FOUND]
            worker.lead.keep(linking.linked, found)
    _log.info("part %d: %d frames, %d faces", part.number, report.frames_read, report.faces)
    return bool(ended)

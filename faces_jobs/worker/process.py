"""One segment, from claim to finish."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import partial

from faces_jobs.db.claims import SegmentClaim, claim_segment, renew_segment
from faces_jobs.db.endings import (
    ItemFacts,
    SegmentResults,
    fail_job,
    fail_segment,
    finish_segment,
    hand_back,
)
from faces_jobs.db.space import park_segment
from faces_jobs.errors import (
    CancelledError,
    DatabaseError,
    DeviceError,
    FacesJobsError,
    LeaseLostError,
    ModelError,
    PausedError,
    PoisonError,
    QueueError,
    StorageFullError,
)
from faces_jobs.jobs.documents import ErrorDocument
from faces_jobs.jobs.records import ModelVersion
from faces_jobs.logs import about
from faces_jobs.pipeline.frames import open_frames
from faces_jobs.pipeline.run import run_item
from faces_jobs.pipeline.stages import Classifier, Detector, FrameReader
from faces_jobs.pipeline.tracking import OverlapTracker
from faces_jobs.pipeline.unsure import thresholds_of
from faces_jobs.pipeline.values import MediaInfo, RunReport
from faces_jobs.sinks.spool import FaceSpool
from faces_jobs.storage import told_when_full
from faces_jobs.worker.artifacts import ItemArtifacts
from faces_jobs.worker.backoff import pause_seconds
from faces_jobs.worker.finish import finish_job
from faces_jobs.worker.heartbeat import Heartbeat, StopRequestedError
from faces_jobs.worker.memory import peak_memory_bytes
from faces_jobs.worker.record import Published, record
from faces_jobs.worker.resources import Worker
from faces_jobs.worker.source import open_source

DETECTOR = "detector"

_log = logging.getLogger(__name__)


def process_segment(segment_id: int, worker: Worker) -> None:
    """Work on a segment, if it is to be had. May be called at any time, by many, for the same."""
    settings = worker.settings
    claim = claim_segment(
        worker.database,
        segment_id,
        worker=worker.name,
        lease_seconds=settings.lease_seconds,
        max_attempts=settings.max_attempts,
    )
    if claim is None:
        _log.debug("segment %d is not to be had", segment_id)
        return
    process_claim(claim, worker)


def process_claim(claim: SegmentClaim, worker: Worker) -> None:
    """Work on a segment that is ours, and finish its job where it was the last."""
    with about(
        job=claim.job_id, item=claim.item_id, segment=claim.segment_id, attempt=claim.attempt
    ):
        worker.counters.add("attempts")
        worker.counters.add("rescues", float(claim.rescued))
        try:
            if _attempt(claim, worker):
                # Here and now, not by a message: behind a long job's segments it would wait for
                # all of them. Should this worker die first, the sweep rings for it.
                finish_job(claim.job_id, worker)
        except (CancelledError, LeaseLostError) as error:
            _log.info("thrown away: %s", error)
        except (DatabaseError, StorageFullError) as error:
            _log.warning("left until the lease runs out: %s", error)
        except QueueError as error:
            _log.warning("left to the sweep to ring for: %s", error)


def _attempt(claim: SegmentClaim, worker: Worker) -> bool:
    """Work on a claimed segment and record how that ended. True: the job is to be finished now."""
    database = worker.database
    try:
        return _work(claim, worker)
    except (StopRequestedError, PausedError) as error:
        reason = str(error) or "its worker was told to stop"
        hand_back(database, claim, reason=reason, counts=False)
        _log.info("handed back: %s", reason)
        if isinstance(error, StopRequestedError):
            worker.queue.ring_segment(claim.segment_id)
    except (CancelledError, LeaseLostError):
        raise
    except (ModelError, DeviceError) as error:
        _log.error("no file of this job can be processed: %s", error)
        return fail_job(database, claim, _document(error))
    except StorageFullError as error:
        _log.warning("the job waits for space: %s", error)
        pause = partial(pause_seconds, worker.settings)
        park_segment(database, claim, reason=str(error), pause=pause)
    except FacesJobsError as error:
        _log.warning("the attempt failed: %s: %s", error.code, error)
        if error.permanent:  # a broken file, above all: trying again would not mend it
            return fail_segment(database, claim, _document(error))
        return _try_again(claim, worker, _document(error))
    except Exception as error:  # noqa: BLE001 (the last boundary: told, kept and counted)
        _log.exception("the attempt failed")
        document = ErrorDocument(
            code=PoisonError.code,
            message=f"Given up after {claim.attempt} attempts, the last of which met an "
            f"unexpected {type(error).__name__}; the worker's log says more.",
        )
        return _try_again(claim, worker, document)
    return False


def _try_again(claim: SegmentClaim, worker: Worker, error: ErrorDocument) -> bool:
    """Put the segment back for another attempt; fail it where this one was the last."""
    if claim.attempt >= worker.settings.max_attempts:
        worker.counters.add("poison")
        return fail_segment(worker.database, claim, error, gave_up=True)
    hand_back(
        worker.database,
        claim,
        reason=error.message,
        counts=True,
        delay_seconds=pause_seconds(worker.settings, claim.attempt),
    )
    return False


def _work(claim: SegmentClaim, worker: Worker) -> bool:
    settings, storage = worker.settings, worker.storage

    def renew(frames_done: int, frames_total: int | None) -> None:
        renew_segment(
            worker.database,
            claim,
            lease_seconds=settings.lease_seconds,
            frames_done=frames_done,
            frames_total=frames_total,
            peak_memory_bytes=peak_memory_bytes(),
        )

    def progress(frames_done: int, frames_total: int | None) -> None:
        heartbeat.progress(frames_done, frames_total)
        storage.check_room()  # the reserve is for others: for rows, above all

    with ExitStack() as stack:
        heartbeat = stack.enter_context(
            Heartbeat(
                renew,
                every_seconds=settings.heartbeat_seconds,
                stop_requested=worker.stop_requested,
            )
        )
        stack.enter_context(told_when_full())
        detector = worker.networks.detector()
        classifiers = worker.networks.classifiers(claim.spec.models)
        path = stack.enter_context(open_source(claim, storage=storage, roots=settings.roots))
        frames: AbstractContextManager[FrameReader] = open_frames(
            path, max_pixels=settings.max_pixels
        )
        reader = stack.enter_context(frames)
        workspace = stack.enter_context(storage.workspace(claim.token))
        spool = stack.enter_context(FaceSpool(workspace / "faces"))
        artifacts = ItemArtifacts(claim, workspace)
        with artifacts.sinks(path, reader.info) as sinks:
            report = run_item(
                reader,
                detector=detector,
                tracker=OverlapTracker(),
                classifiers=classifiers,
                spec=claim.spec,
                sinks=[spool, *sinks],
                batch_size=settings.batch_size,
                on_progress=progress,
                unsure_below=settings.unsure_below,
            )
        _count(report, worker)
        stored = artifacts.publish(storage)
        heartbeat.stop()
        results = SegmentResults(
            facts=_facts(reader.info),
            frames=report.frames_read,
            faces=spool,
            tracks=spool.tracks,
            artifacts=stored,
            models=_models(detector, classifiers, settings.unsure_below, claim.spec.unsure_below),
            error=None if report.truncated is None else _document(report.truncated),
        )
        last = record(
            worker,
            Published(claim.job_id, str(claim.item_id), claim.token),
            lambda: finish_segment(worker.database, claim, results),
        )
    _log.info(
        "%d frames, %d faces, %d tracks; seconds: %s",
        report.frames_read,
        report.faces,
        report.tracks,
        " ".join(f"{stage}={spent:.2f}" for stage, spent in report.stage_seconds.items()),
    )
    return bool(last)


def _count(report: RunReport, worker: Worker) -> None:
    worker.counters.add("frames", report.frames_read)
    worker.counters.add("faces", report.faces)
    for stage, seconds in report.stage_seconds.items():
        worker.counters.add("stage_seconds", seconds, label=stage)


def _facts(info: MediaInfo) -> ItemFacts:
    return ItemFacts(
        kind=info.kind,
        format=info.format,
        width=info.width,
        height=info.height,
        duration_ms=info.duration_ms,
    )


def _models(
    detector: Detector, classifiers: Sequence[Classifier], *said: str
) -> list[ModelVersion]:
    found = ModelVersion(name=DETECTOR, version=detector.version, sha256=detector.sha256)
    return [
        found,
        *(
            ModelVersion(
                name=each.name,
                version=each.version,
                sha256=each.sha256,
                unsure_below=thresholds_of(each, *said),
            )
            for each in classifiers
        ),
    ]


def _document(error: FacesJobsError) -> ErrorDocument:
    return ErrorDocument(code=error.code, message=str(error))

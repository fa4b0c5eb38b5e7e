"""Assembles the stages that every batch of an item goes through."""

from __future__ import annotations

from collections.abc import Sequence

from faces_jobs.pipeline.analysis import Analysis
from faces_jobs.pipeline.batches import Batch, Turn
from faces_jobs.pipeline.protocols import FrameReader, Sink
from faces_jobs.pipeline.sampling import Sampling
from faces_jobs.pipeline.stages.classify import ClassifyStage
from faces_jobs.pipeline.stages.decode import DecodeStage
from faces_jobs.pipeline.stages.detect import DetectStage
from faces_jobs.pipeline.stages.settle import SettleStage
from faces_jobs.pipeline.stages.sparse_classification import SparseClassification
from faces_jobs.pipeline.stages.sparse_detection import SparseDetection
from faces_jobs.pipeline.stages.track import TrackStage
from faces_jobs.pipeline.stretches import Stretches
from faces_jobs.pipeline.timing import StageTimer
from faces_jobs.pipeline.values import RunReport


class ItemStages:
    """The stages of one item; `run.py` decides which thread runs which.

    Each batch that `decode_stage` yields is passed to `analyse`, by any thread, then to `settle`,
    in order. `finish` comes last.
    """

    def __init__(
        self,
        reader: FrameReader,
        analysis: Analysis,
        sinks: Sequence[Sink],
        *,
        batch_size: int,
        lanes: int = 1,
        after_ms: float | None = None,
    ) -> None:
        """Create the stages; the arguments are those of `run.run_item`."""
        spec, info = analysis.spec, reader.info
        classifiers, thresholds = analysis.classifiers_for(info), analysis.thresholds
        stretches = Stretches.for_item(spec, info)
        self._timer = StageTimer()
        self.wait_timer = StageTimer()
        self.decode_stage = DecodeStage(
            reader,
            Sampling(spec, after_ms=after_ms),
            self._timer,
            batch_size=batch_size,
            lanes=lanes,
            stretches=stretches,
        )
        detect_all = DetectStage(analysis.detector_for(info), spec, self._timer)
        skips_frames = stretches is not None and spec.detect_every != "1"
        self._detect_stage = SparseDetection(detect_all, spec) if skips_frames else detect_all
        self._track_stage = TrackStage(analysis.new_tracker())
        classify_all = ClassifyStage(classifiers, analysis.cropper, self._timer)
        skips_faces = stretches is not None and spec.classify != "every"
        self._classify_stage = (
            SparseClassification(classify_all, classifiers, thresholds)
            if skips_faces
            else classify_all
        )
        self._settle_stage = SettleStage(sinks, thresholds, self._timer)

    def analyse(self, batch: Batch, turn: Turn) -> None:
        """Detect, track and classify the faces of a batch.

        Several threads may each analyse a batch at the same time; `turn` keeps the steps in order
        that depend on the batches before.
        """
        # Decoding ends here with the conversion of the pictures, so that all lanes share the work.
        with self._timer.measure("decode"):
            for frame in batch.analysed:
                _ = frame.picture_bgr
        detections = self._detect_stage.detect(batch, turn)
        with turn("track"), self._timer.measure("track"):
            self._track_stage.track(batch, detections)
        self._classify_stage.classify(batch, turn)

    def settle(self, batch: Batch) -> int:
        """Pass the frames of the next batch to the sinks. Returns how many frames are done."""
        self._settle_stage.settle(batch)
        return self._settle_stage.frames_read

    def finish(self) -> RunReport:
        """Finish the sinks of an item that was read to its end, or up to where it is cut off.

        Raises:
            TruncatedError: the file is cut off before the end of its first frame.
        """
        decoded, settled = self.decode_stage, self._settle_stage
        if decoded.truncated is not None and not settled.frames_read:
            raise decoded.truncated
        tracks = settled.finish()
        return self.report(tracks=len(tracks))

    def report(self, *, tracks: int = 0) -> RunReport:
        """Return the counts so far; the number of tracks is known when the sinks are finished."""
        decoded, settled = self.decode_stage, self._settle_stage
        return RunReport(
            frames_read=settled.frames_read,
            frames_analysed=settled.frames_analysed,
            faces=settled.faces,
            tracks=tracks,
            truncated=decoded.truncated,
            damaged_frames=decoded.damaged_frames,
            stage_seconds=self._timer.totals(),
            waiting_seconds=self.wait_timer.totals(),
        )

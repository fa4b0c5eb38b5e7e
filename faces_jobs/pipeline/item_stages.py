"""The stages that an item goes through, put together: the same one by one and overlapping."""

from __future__ import annotations

from collections.abc import Sequence

from faces_jobs.pipeline.analysis import Analysis
from faces_jobs.pipeline.batches import Batch, Turn
from faces_jobs.pipeline.classify_stage import ClassifyStage
from faces_jobs.pipeline.decode_stage import DecodeStage
from faces_jobs.pipeline.detect_stage import DetectStage
from faces_jobs.pipeline.sampling import Sampling
from faces_jobs.pipeline.settle_stage import SettleStage
from faces_jobs.pipeline.sparse_classification import SparseClassification
from faces_jobs.pipeline.sparse_detection import SparseDetection
from faces_jobs.pipeline.stages import FrameReader, Sink
from faces_jobs.pipeline.stretches import Stretches
from faces_jobs.pipeline.timing import StageSeconds
from faces_jobs.pipeline.track_stage import TrackStage
from faces_jobs.pipeline.values import RunReport


class ItemStages:
    """One instance an item. `decoding` gives batches; they are looked at, and settled in order."""

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
        """The arguments are those of `run.run_item`."""
        spec, info = analysis.spec, reader.info
        asked, thresholds = analysis.classifiers_for(info), analysis.thresholds
        stretches = Stretches.wanted(spec, info)
        self._seconds = StageSeconds()
        self.waiting = StageSeconds()
        self.decoding = DecodeStage(
            reader,
            Sampling(spec, after_ms=after_ms),
            self._seconds,
            batch_size=batch_size,
            lanes=lanes,
            stretches=stretches,
        )
        every = DetectStage(analysis.detector, spec, self._seconds)
        spares_frames = stretches is not None and spec.detect_every != "1"
        self._detecting = SparseDetection(every, spec) if spares_frames else every
        self._follower = TrackStage(analysis.new_tracker())
        each = ClassifyStage(asked, analysis.cropper, self._seconds)
        spares_faces = stretches is not None and spec.classify != "every"
        self._judging = SparseClassification(each, asked, thresholds) if spares_faces else each
        self._settler = SettleStage(sinks, thresholds, self._seconds)

    def look_at(self, batch: Batch, turn: Turn) -> None:
        """Find the faces of a batch, follow them, and have them judged.

        Several threads may look at a batch each; `turn` keeps in order what goes by the batches
        before.
        """
        with self._seconds.of("decode"):  # the rest of it: several lanes make pictures at once
            for frame in batch.analysed:
                _ = frame.picture_bgr
        found = self._detecting.find(batch, turn)
        with turn("track"), self._seconds.of("track"):
            self._follower.follow(batch, found)
        self._judging.judge(batch, turn)

    def settle(self, batch: Batch) -> int:
        """Hand the frames of the next batch to the sinks. Returns how many frames are done."""
        self._settler.settle(batch)
        return self._settler.frames_read

    def finish(self) -> RunReport:
        """Finish the sinks of an item that was read to its end, or to where it breaks off.

        Raises:
            TruncatedError: not one frame was whole.
        """
        decoding, settler = self.decoding, self._settler
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
            stage_seconds=self._seconds.so_far(),
            waiting_seconds=self.waiting.so_far(),
        )

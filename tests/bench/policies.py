"""Measures what `detect_every` and `classify` save, and what they lose, on your own clips.

    python -m tests.bench.policies [CLIP ...]

Every policy is compared with a run that detects and classifies in every frame; `both` is adaptive
and auto together. Figures are shares of faces, frames or tracks, and ratios. The default clip is
the sample.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.optimize import linear_sum_assignment

from faces_jobs.jobs.labels import HEADS, MODELS
from faces_jobs.jobs.records import FaceRecord, TrackRecord
from faces_jobs.jobs.spec import JobSpec
from faces_jobs.pipeline.analysis import Analysis
from faces_jobs.pipeline.frames import open_frames
from faces_jobs.pipeline.protocols import Classifier, Detector
from faces_jobs.pipeline.run import run_item
from faces_jobs.pipeline.tracking import overlaps
from faces_jobs.pipeline.values import Detections, Face, Frame, Opinion, Picture
from faces_jobs.settings import Settings
from faces_jobs_models.catalog import Catalog, open_catalog
from tests.bench.clips import sample_720p

OUTPUT = Path("var/bench/policies.json")
SAME_FACE = 0.5  # intersection over union
POLICIES: dict[str, dict[str, str]] = {
    **{every: {"detect_every": every} for every in ("2", "3", "5", "10", "adaptive")},
    "auto": {"classify": "auto"},
    "both": {"detect_every": "adaptive", "classify": "auto"},
}


@dataclass
class Outcome:
    """The results and the cost of one run over one clip."""

    frames: dict[int, list[FaceRecord]] = field(default_factory=dict)
    tracks: Mapping[int, TrackRecord] = field(default_factory=dict)
    detected: int = 0
    classified: Counter[str] = field(default_factory=Counter)
    cpu_seconds: float = 0.0

    def add(self, frame: Frame, faces: Sequence[Face], *, analysed: bool) -> None:
        """Record a frame, as a sink does."""
        if analysed:
            self.frames[frame.index] = [face.record for face in faces]

    def finish(self, tracks: Sequence[TrackRecord]) -> None:
        """Record the tracks."""
        self.tracks = {track.track: track for track in tracks}

    @property
    def faces(self) -> int:
        """Number of faces."""
        return sum(len(faces) for faces in self.frames.values())


class _CachedDetector:
    """A detector that counts pictures, and caches detections and the CPU time that they took."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self._cache: dict[bytes, tuple[Detections, float]] = {}
        self.pictures = 0
        self.saved_seconds = 0.0  # CPU time that the cache saved

    def __getattr__(self, name: str) -> Any:
        return getattr(self._detector, name)

    def detect(self, pictures_bgr: Sequence[Picture]) -> list[Detections]:
        """Return one `Detections` for each picture."""
        return [self._detect(picture) for picture in pictures_bgr]

    def _detect(self, picture: Picture) -> Detections:
        self.pictures += 1
        started = time.thread_time()
        key = hashlib.blake2b(picture.data, digest_size=16).digest()
        self.saved_seconds -= time.thread_time() - started
        if key not in self._cache:
            started = time.thread_time()
            [detections] = self._detector.detect([picture])
            self._cache[key] = detections, time.thread_time() - started
            return detections
        detections, seconds = self._cache[key]
        self.saved_seconds += seconds
        return detections


class _CountingClassifier:
    """A classifier that counts crops."""

    def __init__(self, classifier: Classifier) -> None:
        self._classifier = classifier
        self.crops = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._classifier, name)

    def classify(self, crops_bgr: Sequence[Picture]) -> list[Opinion]:
        """Return one opinion a crop."""
        self.crops += len(crops_bgr)
        return self._classifier.classify(crops_bgr)


def run(
    catalog: Catalog, detector: _CachedDetector, clip: Path, options: Mapping[str, str]
) -> Outcome:
    """Run the pipeline on a clip with these options."""
    spec = JobSpec.parse(options)
    outcome = Outcome()
    analysis = Analysis.from_networks(catalog, spec, unsure_below="")
    classifiers = [_CountingClassifier(each) for each in analysis.classifiers]
    analysis = replace(analysis, detector=detector, classifiers=classifiers)
    detector.pictures, detector.saved_seconds = 0, 0.0
    started = time.process_time()  # of all threads, without other processes
    with open_frames(clip, max_pixels=10**8) as reader:
        run_item(
            reader,
            analysis,
            [outcome],
            batch_size=Settings().batch_size,
            on_progress=lambda _done, _total: None,
        )
    outcome.cpu_seconds = time.process_time() - started + detector.saved_seconds
    outcome.detected = detector.pictures
    outcome.classified = Counter({each.name: each.crops for each in classifiers})
    return outcome


@dataclass
class Tally:
    """The differences of runs with one policy from runs over every frame, summed over clips."""

    sums: Counter[str] = field(default_factory=Counter)

    def add(self, every: Outcome, sparse: Outcome) -> None:
        """Add one clip."""
        add = self.sums.update
        add(frames=len(every.frames), detected=sparse.detected, faces=every.faces)
        add(found=sparse.faces, tracks=len(every.tracks), tracks_found=len(sparse.tracks))
        for name, count in sparse.classified.items():
            add({f"classified {name}": count, f"faces for {name}": sparse.faces})
        add({"cpu every": every.cpu_seconds, "cpu": sparse.cpu_seconds})
        shared: Counter[tuple[int, int]] = Counter()
        for index, faces in every.frames.items():
            others = sparse.frames[index]
            for face, other in _pairs(faces, others):
                shared[faces[face].track, others[other].track] += 1
                add(same=1)
                for head, attribute in faces[face].attributes.items():
                    same = attribute.label == others[other].attributes[head].label
                    add({f"label {head}": same})
        for (track, other), count in _one_to_one(shared):
            add(same_track=count, tracks_paired=1)
            for head, attribute in every.tracks[track].attributes.items():
                same = attribute.label == sparse.tracks[other].attributes[head].label
                add({f"track label {head}": same})

    def figures(self) -> dict[str, float]:
        """Return shares, 0..1, and ratios."""
        sums = self.sums
        labels = {head: sums[f"label {head}"] / sums["same"] for head in HEADS}
        classified = {m: sums[f"classified {m}"] / (sums[f"faces for {m}"] or 1) for m in MODELS}
        track_labels = sum(sums[f"track label {head}"] for head in HEADS)
        return {
            "detected": sums["detected"] / sums["frames"],
            **{f"judged {name}": share for name, share in classified.items()},
            "judged": sum(classified.values()) / len(classified),
            "face recall": sums["same"] / sums["faces"],
            "faces of no face": 1 - sums["same"] / (sums["found"] or 1),
            **{f"label {head}": share for head, share in labels.items()},
            "labels": sum(labels.values()) / len(labels),
            "same track": sums["same_track"] / sums["faces"],
            "tracks every": sums["tracks"],
            "tracks": sums["tracks_found"],
            "track labels": track_labels / (len(HEADS) * sums["tracks_paired"] or 1),
            "speed-up": sums["cpu every"] / sums["cpu"],
        }


def _pairs(first: Sequence[FaceRecord], second: Sequence[FaceRecord]) -> list[tuple[int, int]]:
    if not first or not second:
        return []
    overlap = overlaps(
        np.array([face.box_xyxy for face in first]), np.array([face.box_xyxy for face in second])
    )
    rows, columns = linear_sum_assignment(overlap, maximize=True)
    paired = zip(rows.tolist(), columns.tolist(), strict=True)
    return [(row, column) for row, column in paired if overlap[row, column] >= SAME_FACE]


def _one_to_one(shared: Counter[tuple[int, int]]) -> list[tuple[tuple[int, int], int]]:
    """Match tracks so that as many faces as possible are shared, as for the metric IDF1."""
    if not shared:
        return []
    counts = np.zeros(tuple(max(side) + 1 for side in zip(*shared, strict=True)))
    for pair, count in shared.items():
        counts[pair] = count
    rows, columns = linear_sum_assignment(counts, maximize=True)
    paired = zip(rows.tolist(), columns.tolist(), strict=True)
    return [(pair, shared[pair]) for pair in paired if shared[pair]]


def main(arguments: Sequence[str]) -> None:
    """Measure, print and write the figures."""
    console = Console()
    with tempfile.TemporaryDirectory() as folder, open_catalog(device="cpu") as catalog:
        clips = [Path(name) for name in arguments] or [sample_720p(Path(folder))]
        tallies = {name: Tally() for name in POLICIES}
        for clip in clips:
            console.print(clip.name, highlight=False)
            detector = _CachedDetector(catalog.detector())
            every = run(catalog, detector, clip, {})
            for name, policy in POLICIES.items():
                tallies[name].add(every, run(catalog, detector, clip, policy))
    measured = {name: tally.figures() for name, tally in tallies.items()}
    table = Table(box=None, pad_edge=False)
    for heading in ("", *measured):
        table.add_column(heading, no_wrap=True)
    for figure in measured["both"]:
        table.add_row(figure, *(f"{figures[figure]:.4g}" for figures in measured.values()))
    console.print(table)
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    result = {"clips": [clip.name for clip in clips], "options": POLICIES, "policies": measured}
    OUTPUT.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])

"""Measures what `detect_every` and `classify` save, and what they cost in quality.

    python -m tests.bench.policies [CLIP ...]

Every policy is compared with a full run, which detects and classifies faces in every frame; `both`
combines adaptive and auto. Figures are shares of faces, frames or tracks, and ratios. Without
arguments the sample clip is used.
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
from faces_jobs.pipeline.run import run_item
from faces_jobs.pipeline.stages import Classifier, Detector
from faces_jobs.pipeline.tracking import overlaps
from faces_jobs.pipeline.values import Detections, Face, Frame, Opinion, Picture
from faces_jobs.settings import Settings
from faces_jobs_models.catalog import Catalog, open_catalog
from tests.bench.clips import sample_720p

OUTPUT = Path("var/bench/policies.json")
SAME_FACE_IOU = 0.5
POLICIES: dict[str, dict[str, str]] = {
    **{every: {"detect_every": every} for every in ("2", "3", "5", "10", "adaptive")},
    "auto": {"classify": "auto"},
    "both": {"detect_every": "adaptive", "classify": "auto"},
}


@dataclass
class Outcome:
    """The results and the cost of one run on one clip."""

    frames: dict[int, list[FaceRecord]] = field(default_factory=dict)
    tracks: Mapping[int, TrackRecord] = field(default_factory=dict)
    detected: int = 0  # pictures
    classified: Counter[str] = field(default_factory=Counter)  # faces, by model
    cpu_seconds: float = 0.0

    def add(self, frame: Frame, faces: Sequence[Face], *, analysed: bool) -> None:
        """Record the faces of a frame, as a sink does."""
        if analysed:
            self.frames[frame.index] = [face.record for face in faces]

    def finish(self, tracks: Sequence[TrackRecord]) -> None:
        """Record the tracks."""
        self.tracks = {track.track: track for track in tracks}

    @property
    def faces(self) -> int:
        """The number of faces."""
        return sum(len(faces) for faces in self.frames.values())


class _CachingDetector:
    """Counts the pictures given to a detector, and caches its results and their cost.

    Runs with other policies on the same clip need not detect again; `saved_seconds` is the
    processor time that detecting would have taken.
    """

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self._cache: dict[bytes, tuple[Detections, float]] = {}
        self.picture_count = 0
        self.saved_seconds = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._detector, name)

    def detect(self, pictures_bgr: Sequence[Picture]) -> list[Detections]:
        """One `Detections` for each picture."""
        return [self._detect(picture) for picture in pictures_bgr]

    def _detect(self, picture: Picture) -> Detections:
        self.picture_count += 1
        started = time.thread_time()
        key = hashlib.blake2b(picture.data, digest_size=16).digest()
        self.saved_seconds -= time.thread_time() - started
        if key not in self._cache:
            started = time.thread_time()
            [found] = self._detector.detect([picture])
            self._cache[key] = found, time.thread_time() - started
            return found
        found, seconds = self._cache[key]
        self.saved_seconds += seconds
        return found


class _CountingClassifier:
    """Counts the faces given to a classifier."""

    def __init__(self, classifier: Classifier) -> None:
        self._classifier = classifier
        self.face_count = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._classifier, name)

    def classify(self, crops_bgr: Sequence[Picture]) -> list[Opinion]:
        """One opinion for each crop."""
        self.face_count += len(crops_bgr)
        return self._classifier.classify(crops_bgr)


def run(
    catalog: Catalog, detector: _CachingDetector, clip: Path, options: Mapping[str, str]
) -> Outcome:
    """Run the pipeline on a clip with these options."""
    spec = JobSpec.parse(options)
    outcome = Outcome()
    analysis = Analysis.from_networks(catalog, spec, unsure_below="")
    classifiers = [_CountingClassifier(each) for each in analysis.classifiers]
    analysis = replace(analysis, detector=detector, classifiers=classifiers)
    detector.picture_count, detector.saved_seconds = 0, 0.0
    started = time.process_time()  # of all threads, independent of other programs
    with open_frames(clip, max_pixels=10**8) as reader:
        run_item(
            reader,
            analysis,
            [outcome],
            batch_size=Settings().batch_size,
            on_progress=lambda _done, _total: None,
        )
    outcome.cpu_seconds = time.process_time() - started + detector.saved_seconds
    outcome.detected = detector.picture_count
    outcome.classified = Counter({each.name: each.face_count for each in classifiers})
    return outcome


@dataclass
class Tally:
    """Compares runs with one policy to full runs, summed over clips."""

    sums: Counter[str] = field(default_factory=Counter)

    def add(self, full: Outcome, reduced: Outcome) -> None:
        """Add the runs on one more clip."""
        add = self.sums.update
        add(frames=len(full.frames), detected=reduced.detected, faces=full.faces)
        add(found=reduced.faces, tracks=len(full.tracks), tracks_found=len(reduced.tracks))
        for name, count in reduced.classified.items():
            add({f"classified {name}": count, f"faces {name}": reduced.faces})
        add({"cpu full": full.cpu_seconds, "cpu": reduced.cpu_seconds})
        together: Counter[tuple[int, int]] = Counter()
        for index, faces in full.frames.items():
            others = reduced.frames[index]
            for here, there in _pairs(faces, others):
                together[faces[here].track, others[there].track] += 1
                add(same=1)
                for head, attribute in faces[here].attributes.items():
                    add({f"label {head}": attribute.label == others[there].attributes[head].label})
        for (number, other), count in _one_to_one(together):
            add(same_track=count, tracks_paired=1)
            for head, attribute in full.tracks[number].attributes.items():
                same = attribute.label == reduced.tracks[other].attributes[head].label
                add({f"track label {head}": same})

    def figures(self) -> dict[str, float]:
        """The figures of the table: shares (0 to 1), counts and the speed-up."""
        sums = self.sums
        labels = {head: sums[f"label {head}"] / sums["same"] for head in HEADS}
        classified = {m: sums[f"classified {m}"] / (sums[f"faces {m}"] or 1) for m in MODELS}
        track_labels = sum(sums[f"track label {head}"] for head in HEADS)
        return {
            "detected": sums["detected"] / sums["frames"],
            **{f"classified {name}": share for name, share in classified.items()},
            "classified": sum(classified.values()) / len(classified),
            "face recall": sums["same"] / sums["faces"],
            "false faces": 1 - sums["same"] / (sums["found"] or 1),
            **{f"label {head}": share for head, share in labels.items()},
            "labels": sum(labels.values()) / len(labels),
            "same track": sums["same_track"] / sums["faces"],
            "tracks of the full run": sums["tracks"],
            "tracks": sums["tracks_found"],
            "track labels": track_labels / (len(HEADS) * sums["tracks_paired"] or 1),
            "speed-up": sums["cpu full"] / sums["cpu"],
        }


def _pairs(first: Sequence[FaceRecord], second: Sequence[FaceRecord]) -> list[tuple[int, int]]:
    if not first or not second:
        return []
    overlap = overlaps(
        np.array([face.box_xyxy for face in first]), np.array([face.box_xyxy for face in second])
    )
    rows, columns = linear_sum_assignment(overlap, maximize=True)
    paired = zip(rows.tolist(), columns.tolist(), strict=True)
    return [(row, column) for row, column in paired if overlap[row, column] >= SAME_FACE_IOU]


def _one_to_one(together: Counter[tuple[int, int]]) -> list[tuple[tuple[int, int], int]]:
    """Pair the tracks of both runs so that paired tracks share the most faces, as IDF1 does.

    Returns:
        ((track of the full run, track of the other), shared faces) for each pair.
    """
    if not together:
        return []
    shared = np.zeros(tuple(max(side) + 1 for side in zip(*together, strict=True)))
    for pair, count in together.items():
        shared[pair] = count
    rows, columns = linear_sum_assignment(shared, maximize=True)
    paired = zip(rows.tolist(), columns.tolist(), strict=True)
    return [(pair, together[pair]) for pair in paired if together[pair]]


def main(arguments: Sequence[str]) -> None:
    """Measure all policies, print the figures and store them in `OUTPUT`."""
    console = Console()
    with tempfile.TemporaryDirectory() as folder, open_catalog(device="cpu") as catalog:
        clips = [Path(name) for name in arguments] or [sample_720p(Path(folder))]
        tallies = {name: Tally() for name in POLICIES}
        for clip in clips:
            console.print(clip.name, highlight=False)
            detector = _CachingDetector(catalog.detector())
            full = run(catalog, detector, clip, {})
            for name, policy in POLICIES.items():
                tallies[name].add(full, run(catalog, detector, clip, policy))
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

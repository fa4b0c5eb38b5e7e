"""The networks, options and thresholds that the frames of a job are analysed with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

from faces_jobs.jobs.spec import DEFAULT_DETECTION_SIZE, STILL_DETECTION_SIZE, JobSpec
from faces_jobs.jobs.unsure import parse_unsure_below
from faces_jobs.pipeline.mirrored import MirroredClassifier
from faces_jobs.pipeline.protocols import Classifier, Cropper, Detector, Networks, Tracker
from faces_jobs.pipeline.tracking import OverlapTracker
from faces_jobs.pipeline.values import MediaInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """How to analyse frames; the same for all items of a job. Thread-safe.

    Attributes:
        detector: finds faces; those below the spec's threshold or minimum size are dropped.
        still_detector: the same for still images, if another size suits them.
        classifiers: the models that the spec enables, in order.
        cropper: crops faces for the classifiers, on the same device.
        spec: the options of the job.
        unsure_below: the setting of that name: thresholds for `unsure` that the spec doesn't
            set. Empty: the models' own.
        new_tracker: creates the tracker of an item.
    """

    detector: Detector
    classifiers: Sequence[Classifier]
    cropper: Cropper
    spec: JobSpec
    unsure_below: str = ""
    still_detector: Detector | None = None
    new_tracker: Callable[[], Tracker] = OverlapTracker

    @classmethod
    def from_networks(cls, networks: Networks, spec: JobSpec, *, unsure_below: str) -> Self:
        """Create it with the networks that the options need.

        Raises:
            ModelError: a network can't be loaded.
        """
        return cls(
            detector=networks.detector(spec.detection_size or DEFAULT_DETECTION_SIZE),
            still_detector=networks.detector(spec.detection_size or STILL_DETECTION_SIZE),
            classifiers=networks.classifiers(spec.models),
            cropper=networks.cropper(),
            spec=spec,
            unsure_below=unsure_below,
        )

    def detector_for(self, info: MediaInfo) -> Detector:
        """Return the detector for an item."""
        if info.is_still and self.still_detector is not None:
            return self.still_detector
        return self.detector

    def classifiers_for(self, info: MediaInfo) -> Sequence[Classifier]:
        """Return the classifiers for an item; those for stills also see the mirrored crops."""
        if info.is_still:
            return [MirroredClassifier(each) for each in self.classifiers]
        return self.classifiers

    def thresholds_of(self, classifier: Classifier) -> dict[str, float]:
        """Return the threshold for `unsure` of each head: the spec's, the setting's or its own."""
        thresholds = {
            **classifier.unsure_below,
            **parse_unsure_below(self.unsure_below),
            **parse_unsure_below(self.spec.unsure_below),
        }
        return {head: thresholds.get(head, 0.0) for head in classifier.heads}

    @property
    def thresholds(self) -> dict[str, float]:
        """The threshold for `unsure` of each head of all classifiers."""
        return {
            head: threshold
            for each in self.classifiers
            for head, threshold in self.thresholds_of(each).items()
        }

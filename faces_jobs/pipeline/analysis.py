"""What the frames of an item are analysed with: networks, options, what counts as `unsure`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

from faces_jobs.jobs.spec import JobSpec
from faces_jobs.pipeline.mirrored import MirroredClassifier
from faces_jobs.pipeline.stages import Classifier, Cropper, Detector, Networks, Tracker
from faces_jobs.pipeline.tracking import OverlapTracker
from faces_jobs.pipeline.unsure import thresholds_of
from faces_jobs.pipeline.values import MediaInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """The same for all items of a job. Several threads may use it at once.

    Attributes:
        detector: finds faces; those below the spec's threshold or size are left out.
        classifiers: those of the models that the spec asks for, in their order.
        cropper: cuts faces out for the classifiers; where these are on a GPU, it is, too.
        spec: the job's options.
        unsure_below: the setting of that name: below which probability answers are `unsure`
            where the spec does not say it. Empty: each model's own.
        new_tracker: makes the tracker of each item.
    """

    detector: Detector
    classifiers: Sequence[Classifier]
    cropper: Cropper
    spec: JobSpec
    unsure_below: str = ""
    new_tracker: Callable[[], Tracker] = OverlapTracker

    @classmethod
    def from_networks(cls, networks: Networks, spec: JobSpec, *, unsure_below: str) -> Self:
        """With those of the networks that the options ask for.

        Raises:
            ModelError: one of them can't be opened.
        """
        return cls(
            detector=networks.detector(),
            classifiers=networks.classifiers(spec.models),
            cropper=networks.cropper(),
            spec=spec,
            unsure_below=unsure_below,
        )

    def classifiers_for(self, info: MediaInfo) -> Sequence[Classifier]:
        """The classifiers as they are asked about the faces of such an item."""
        if info.is_still:
            return [MirroredClassifier(each) for each in self.classifiers]
        return self.classifiers

    def thresholds_of(self, classifier: Classifier) -> dict[str, float]:
        """Head -> probability below which this classifier's answer is `unsure`."""
        return thresholds_of(classifier, self.unsure_below, self.spec.unsure_below)

    @property
    def thresholds(self) -> dict[str, float]:
        """Those of the heads of all classifiers."""
        return {
            head: threshold
            for each in self.classifiers
            for head, threshold in self.thresholds_of(each).items()
        }

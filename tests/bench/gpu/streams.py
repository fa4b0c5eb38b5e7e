"""The same networks with a stream for each lane, to see whether lanes wait for one another's work.

A frame is looked at by one lane, so that what is on its stream is always in order.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import ParamSpec, TypeVar

import torch

from faces_jobs.pipeline.stages import Classifier, Cropper, Detector
from faces_jobs_models.catalog import Catalog

P = ParamSpec("P")
T = TypeVar("T")


class CatalogWithStreams(Catalog):
    """Whatever it hands out launches on a stream of the calling thread's own."""

    _streams = threading.local()

    def detector(self) -> Detector:
        """The face detector."""
        found = super().detector()
        vars(found)["detect"] = self._apart(type(found).detect.__get__(found))
        return found

    def classifiers(self, names: Sequence[str]) -> list[Classifier]:
        """The classifiers of these names, in their order."""
        found = super().classifiers(names)
        for one in found:
            vars(one)["classify"] = self._apart(type(one).classify.__get__(one))
        return found

    def cropper(self) -> Cropper:
        """Cuts faces out for these classifiers."""
        return self._apart(super().cropper())

    def _apart(self, work: Callable[P, T]) -> Callable[P, T]:
        def on_own_stream(*args: P.args, **kwargs: P.kwargs) -> T:
            if self.device == "cpu":
                return work(*args, **kwargs)
            if not hasattr(self._streams, "own"):
                self._streams.own = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # torch's own
            with torch.cuda.stream(self._streams.own):
                return work(*args, **kwargs)

        return on_own_stream

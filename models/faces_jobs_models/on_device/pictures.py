"""Pictures on the device: each is copied there once, as bytes, and goes when it is forgotten."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from threading import Lock

import torch
from torch import Tensor

from faces_jobs.pipeline.values import Picture


class DevicePictures:
    """Copies of pictures on one device. Safe to share between threads.

    Detector and cropper ask for the same frame, all classifiers for the same crop: who comes
    second finds it there. Nobody has to say when a copy is no longer needed: it is dropped when
    the picture is, so that what lies on the device is what the pipeline's bounded stages hold.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._lock = Lock()
        self._copies: dict[int, Tensor] = {}
        # Copies have a stream of their own, so that they run beside the networks.
        self._stream: torch.cuda.Stream | None = None
        if device.type == "cuda":
            self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch's own

    def __len__(self) -> int:
        """How many pictures have a copy now."""
        return len(self._copies)

    def copies_of(self, pictures_bgr: Sequence[Picture]) -> list[Tensor]:
        """The copy of each picture: (height, width, 3) uint8 BGR on the device.

        On CUDA what is launched later on the caller's stream waits for the copies.
        """
        with self._lock:
            missing = [one for one in pictures_bgr if id(one) not in self._copies]
        # Others go on meanwhile: to pin a batch of frames takes a processor milliseconds.
        copied = self._copied(missing)
        with self._lock:
            for picture, copy in zip(missing, copied, strict=True):
                if id(picture) not in self._copies:
                    self._keep(picture, copy)
            return [self._copies[id(one)] for one in pictures_bgr]

    def add(self, picture_bgr: Picture, copy: Tensor) -> None:
        """Remember a copy that was made on the device itself."""
        with self._lock:
            self._keep(picture_bgr, copy)

    def _keep(self, picture_bgr: Picture, copy: Tensor) -> None:
        self._copies[id(picture_bgr)] = copy
        weakref.finalize(picture_bgr, self._copies.pop, id(picture_bgr), None)

    def _copied(self, pictures_bgr: Sequence[Picture]) -> list[Tensor]:
        if not pictures_bgr:
            return []
        sources = [torch.from_numpy(one) for one in pictures_bgr]
        if self._stream is None:
            return [one.clone() for one in sources]  # a view would keep its picture alive
        with torch.cuda.stream(self._stream):
            # From pinned memory a copy does not hold up the processor. PyTorch keeps the pinned
            # block until the copy is done, and uses it again for the next frame.
            copies = [one.pin_memory().to(self.device, non_blocking=True) for one in sources]
        here = torch.cuda.current_stream(self.device)
        here.wait_stream(self._stream)
        for copy in copies:
            copy.record_stream(here)
        return copies

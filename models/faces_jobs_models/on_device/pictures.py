"""Copies of pictures on the device: each is made once, as bytes, and freed with its picture."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from threading import Lock

import torch
from torch import Tensor

from faces_jobs.pipeline.values import Picture


class DevicePictures:
    """Copies of pictures on one device. Thread-safe.

    Detector and cropper share the copy of a frame, all classifiers that of a crop. A copy is freed
    when its picture is garbage-collected, so the pipeline's bounded stages bound the device's
    memory as well.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._lock = Lock()
        self._copies: dict[int, Tensor] = {}
        # Copies run on their own stream, in parallel to the networks.
        self._stream: torch.cuda.Stream | None = None
        if device.type == "cuda":
            self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch's own

    def __len__(self) -> int:
        """Return the number of copies."""
        return len(self._copies)

    def copies_of(self, pictures_bgr: Sequence[Picture]) -> list[Tensor]:
        """Return the copy of each picture: (height, width, 3) uint8 BGR on the device.

        On CUDA, later work on the caller's stream waits for the copies.
        """
        with self._lock:
            missing = [picture for picture in pictures_bgr if id(picture) not in self._copies]
        # Without the lock: pinning a batch of frames takes the CPU milliseconds.
        new_copies = self._copy(missing)
        with self._lock:
            for picture, copy in zip(missing, new_copies, strict=True):
                if id(picture) not in self._copies:
                    self._add(picture, copy)
            return [self._copies[id(picture)] for picture in pictures_bgr]

    def add(self, picture_bgr: Picture, copy: Tensor) -> None:
        """Add a picture whose content is on the device already."""
        with self._lock:
            self._add(picture_bgr, copy)

    def _add(self, picture_bgr: Picture, copy: Tensor) -> None:
        self._copies[id(picture_bgr)] = copy
        weakref.finalize(picture_bgr, self._copies.pop, id(picture_bgr), None)

    def _copy(self, pictures_bgr: Sequence[Picture]) -> list[Tensor]:
        if not pictures_bgr:
            return []
        sources = [torch.from_numpy(picture) for picture in pictures_bgr]
        if self._stream is None:
            return [source.clone() for source in sources]  # a view would keep its picture alive
        with torch.cuda.stream(self._stream):
            # Copies from pinned memory are asynchronous. PyTorch keeps each pinned block until its
            # copy is done, and then reuses it.
            copies = [source.pin_memory().to(self.device, non_blocking=True) for source in sources]
        current = torch.cuda.current_stream(self.device)
        current.wait_stream(self._stream)
        for copy in copies:
            copy.record_stream(current)
        return copies

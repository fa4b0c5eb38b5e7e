"""Waits for transfers to or from a bucket, and reports their progress."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from s3transfer.futures import TransferFuture
from s3transfer.subscribers import BaseSubscriber

from faces_jobs.storage.progress import Progress


class TransferWaiter(BaseSubscriber):
    """Passes progress from boto3's threads on to the thread that waits.

    An exception raised in one of boto3's threads would be taken for a network error and retried.
    """

    def __init__(self) -> None:
        self._changed = threading.Event()

    def on_progress(self, future: TransferFuture, bytes_transferred: int, **_: Any) -> None:  # noqa: ARG002 (boto3's signature)
        """Called by boto3 when bytes have moved."""
        self._changed.set()

    def on_done(self, future: TransferFuture, **_: Any) -> None:  # noqa: ARG002 (likewise)
        """Called by boto3 when a transfer has ended, with or without an error."""
        self._changed.set()

    def wait_for(self, transfers: Sequence[TransferFuture], on_progress: Progress) -> None:
        """Wait until all transfers are complete.

        Raises:
            Exception: the error of the first that has failed, or whatever `on_progress` raises.
        """
        for transfer in transfers:
            while not transfer.done():
                self._changed.wait()
                self._changed.clear()
                on_progress()
            transfer.result()

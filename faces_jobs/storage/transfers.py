"""Waits for transfers to or from a bucket, and tells on the way that bytes move."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from s3transfer.futures import TransferFuture
from s3transfer.subscribers import BaseSubscriber

from faces_jobs.storage.progress import Progress


class TransferWaiter(BaseSubscriber):
    """Is told by the threads of boto3, and tells the one that waits.

    Raised in one of theirs, an error would be taken for one of the network, and tried again.
    """

    def __init__(self) -> None:
        self._changed = threading.Event()

    def on_progress(self, future: TransferFuture, bytes_transferred: int, **_: Any) -> None:  # noqa: ARG002 (boto3's signature)
        """Bytes have moved."""
        self._changed.set()

    def on_done(self, future: TransferFuture, **_: Any) -> None:  # noqa: ARG002 (likewise)
        """A transfer has ended, however that was."""
        self._changed.set()

    def wait_for(self, transfers: Sequence[TransferFuture], on_progress: Progress) -> None:
        """Wait until all have ended well.

        Raises:
            Exception: that of the first that has not, or whatever `on_progress` raises.
        """
        for transfer in transfers:
            while not transfer.done():
                self._changed.wait()
                self._changed.clear()
                on_progress()
            transfer.result()

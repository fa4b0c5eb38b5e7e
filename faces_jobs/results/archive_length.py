"""The length of a ZIP archive of stored files, known before its first byte is written.

It follows `zipfile` writing to a stream that can't seek: a data descriptor follows each file, and
ZIP64 is used where a number needs it. An archive of which the client knows the length can't end
early unnoticed, not even behind a proxy that talks HTTP/1.0.
"""

from __future__ import annotations

import zipfile

LOCAL_HEADER_BYTES = 30
LOCAL_ZIP64_BYTES = 20  # two sizes
DESCRIPTOR_BYTES = 16
DESCRIPTOR_ZIP64_BYTES = 24
DIRECTORY_ENTRY_BYTES = 46
END_BYTES = 22
END_ZIP64_BYTES = 56 + 20  # with its locator


class ArchiveLength:
    """Adds up the parts of an archive, in the order in which its files are added."""

    def __init__(self, *, extra_bytes: int) -> None:
        """Start with an empty archive; each file has `extra_bytes` of extra fields."""
        self._extra_bytes = extra_bytes
        self._files = 0
        self._files_bytes = 0
        self._directory_bytes = 0

    def add(self, name: str, size: int) -> None:
        """Add a file of `size` bytes."""
        limit = zipfile.ZIP64_LIMIT
        named = len(name.encode()) + self._extra_bytes
        large_fields = 2 * (size > limit) + (self._files_bytes > limit)
        self._directory_bytes += DIRECTORY_ENTRY_BYTES + named
        self._directory_bytes += 4 + 8 * large_fields if large_fields else 0
        is_large = size * 1.05 > limit  # as `zipfile` does, in case compression makes it larger
        self._files_bytes += LOCAL_HEADER_BYTES + named + (LOCAL_ZIP64_BYTES if is_large else 0)
        self._files_bytes += size + (DESCRIPTOR_ZIP64_BYTES if is_large else DESCRIPTOR_BYTES)
        self._files += 1

    def total(self) -> int:
        """The bytes of the whole archive."""
        # The directory is never larger: it has as many bytes of each file as its own header.
        is_large = (
            self._files > zipfile.ZIP_FILECOUNT_LIMIT or self._files_bytes > zipfile.ZIP64_LIMIT
        )
        end = END_BYTES + (END_ZIP64_BYTES if is_large else 0)
        return self._files_bytes + self._directory_bytes + end

"""File names of the annotated copies that `faces-jobs run` writes."""

from __future__ import annotations

import hashlib

# Most file systems allow 255 bytes. The name is followed by `.annotated`, a suffix and, while the
# copy is being written, `.part`.
MAX_NAME_BYTES = 220
DIGEST_CHARACTERS = 12


def copy_name(name: str) -> str:
    """The path of an input's annotated copy below the outputs folder, without its suffix.

    It contains the input's suffix, so that copies of `a.png` and `a.jpg` do not collide. A name
    that is too long is cut, and made unique by a digest of the whole name.
    """
    folder, slash, file = name.rpartition("/")
    as_bytes = file.encode("utf-8", "surrogateescape")
    if len(as_bytes) > MAX_NAME_BYTES:
        digest = hashlib.sha256(as_bytes).hexdigest()[:DIGEST_CHARACTERS]
        kept_bytes = MAX_NAME_BYTES - 1 - DIGEST_CHARACTERS
        file = f"{as_bytes[:kept_bytes].decode('utf-8', 'ignore')}-{digest}"
    return f"{folder}{slash}{file}.annotated"

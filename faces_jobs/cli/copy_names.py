"""Names of the annotated copies that `run` makes: the input's own, as far as a disk takes it."""

from __future__ import annotations

import hashlib

# Most file systems take 255 bytes. Behind the name come `.annotated`, a suffix and, while the
# copy is being made, `.part`.
MAX_NAME_BYTES = 220


def copy_name(name: str) -> str:
    """The path of an input's annotated copy, without its suffix, below the outputs folder.

    It is the input's whole name, so that copies of `a.png` and `a.jpg` never meet. A name that
    is too long is cut, and told from others that begin alike by a digest of all of it.
    """
    folder, slash, file = name.rpartition("/")
    as_bytes = file.encode("utf-8", "surrogateescape")
    if len(as_bytes) > MAX_NAME_BYTES:
        digest = hashlib.sha256(as_bytes).hexdigest()[:12]
        file = f"{as_bytes[: MAX_NAME_BYTES - 13].decode('utf-8', 'ignore')}-{digest}"
    return f"{folder}{slash}{file}.annotated"

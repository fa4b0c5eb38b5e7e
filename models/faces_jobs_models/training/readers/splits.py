"""Splits into training and held-out pictures. Shipped models depend on them: don't change keys."""

from __future__ import annotations

import re

from faces_jobs_models.training.readers.data_set import HELD_OUT_SHARE
from faces_jobs_models.training.readers.samples import is_held_out

# Only few of the 77 actors have a beard or heavy makeup. This salt, the best of 3,000 that were
# tried before any training, holds out 13 actors who show all labels (except "child", which only
# one actor has).
_IMFDB_SALT = 2724
_UTKFACE_NAME = re.compile(r"([\d_]+)(?:\.jpg)?(?:\.chip)?\.jpe?g", re.IGNORECASE)


def actor_held_out(actor: str) -> bool:
    """IMFDB: by actor, since consecutive frames are near duplicates."""
    return is_held_out(f"imfdb/{_IMFDB_SALT}/{actor}", HELD_OUT_SHARE)


def subject_held_out(source: str, subject: str) -> bool:
    """CK+, JAFFE: by subject."""
    return is_held_out(f"{source}/{subject}", HELD_OUT_SHARE)


def held_out_by_usage(usage: str) -> bool:
    """FER2013, FER+ and packs: all pictures whose usage is not `Training` (or `train`)."""
    return usage.strip().lower() not in {"training", "train"}


def picture_held_out(source: str, path: str) -> bool:
    """UTKFace, face masks, unknown packs: by picture, since the people are unknown."""
    return is_held_out(f"{source}/{picture_key(source, path)}", HELD_OUT_SHARE)


def picture_key(source: str, path: str) -> str:
    """Return a picture's key. Both forms of a UTKFace picture have that of the aligned one."""
    match = _UTKFACE_NAME.fullmatch(path) if source == "utkface" else None
    return f"{match[1]}.jpg.chip.jpg" if match else path

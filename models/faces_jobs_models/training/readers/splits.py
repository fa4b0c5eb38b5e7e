"""Which pictures are held out, by the keys that trained models depend on."""

from __future__ import annotations

import re

from faces_jobs_models.training.readers.data_set import HELD_OUT_SHARE
from faces_jobs_models.training.samples import is_held_out

# Of 77 actors few wear a beard or heavy makeup. This salt, the best of 3,000 tried before any
# training, holds out 13 actors who show every label (but "child", which one actor has).
_IMFDB_SALT = 2724
_UTKFACE = re.compile(r"([\d_]+)(?:\.jpg)?(?:\.chip)?\.jpe?g", re.IGNORECASE)


def actor_held_out(actor: str) -> bool:
    """IMFDB: by actor, since consecutive frames are near copies."""
    return is_held_out(f"imfdb/{_IMFDB_SALT}/{actor}", HELD_OUT_SHARE)


def subject_held_out(source: str, subject: str) -> bool:
    """CK+, JAFFE: by the person who posed."""
    return is_held_out(f"{source}/{subject}", HELD_OUT_SHARE)


def held_out_by_usage(usage: str) -> bool:
    """FER2013 and FER+: everything but `Training`."""
    return usage.strip().lower() != "training"


def picture_held_out(source: str, path: str) -> bool:
    """UTKFace, face masks, unknown packs: picture by picture, since nobody knows who is in it."""
    return is_held_out(f"{source}/{picture_key(source, path)}", HELD_OUT_SHARE)


def picture_key(source: str, path: str) -> str:
    """What a picture is known by. UTKFace has each in two forms: both are the aligned one."""
    match = _UTKFACE.fullmatch(path) if source == "utkface" else None
    return f"{match[1]}.jpg.chip.jpg" if match else path

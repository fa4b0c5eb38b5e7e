"""What commands and pages say of frames that a damaged file could not give."""

from __future__ import annotations


def damage_text(frames: int) -> str:
    """A sentence about so many damaged frames."""
    if frames == 1:
        return "1 damaged frame was left out, or is shown in part"
    return f"{frames:,} damaged frames were left out, or are shown in part"

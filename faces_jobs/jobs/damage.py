"""The text that commands and pages show about frames lost to damage in a file."""

from __future__ import annotations


def damage_text(frames: int) -> str:
    """Describe this number of damaged frames."""
    if frames == 1:
        return "1 damaged frame was left out, or is shown in part"
    return f"{frames:,} damaged frames were left out, or are shown in part"

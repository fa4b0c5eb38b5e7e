"""Names of submitted files: relative, short, storable, and safe to display."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faces_jobs.jobs.names import MAX_NAME_CHARACTERS, normalise_name


@pytest.mark.parametrize(
    ("name", "normalised"),
    [
        ("a.mp4", "a.mp4"),
        ("sub/a.mp4", "sub/a.mp4"),
        ("C:\\films\\a.mp4", "C:/films/a.mp4"),
        ("../../etc/passwd", "etc/passwd"),
        ("/etc/passwd", "etc/passwd"),
        ("a\0b\n\x1b[2J.mp4", "a_b__[2J.mp4"),
        ("gpj.\u202e4pm.exe", "gpj._4pm.exe"),
        ("long/" * 1000, "…" + ("long/" * 1000)[-MAX_NAME_CHARACTERS:-1]),
        ("", "unnamed"),
        ("../..", "unnamed"),
        ("é 日本 👍.mp4", "é 日本 👍.mp4"),
        ("می\u200cروم.mp4", "می\u200cروم.mp4"),
        ("👨\u200d👩\u200d👧.jpg", "👨\u200d👩\u200d👧.jpg"),
        ("\u200da\u200d/\u200c\u200cb \u200d", "_a_/__b _"),
    ],
)
def test_names_are_made_safe_to_display(name: str, normalised: str) -> None:
    assert normalise_name(name) == normalised


@given(st.text(st.characters(codec=None), max_size=3000))
def test_every_name_is_relative_short_and_storable(text: str) -> None:
    name = normalise_name(text)
    assert name
    assert len(name) <= MAX_NAME_CHARACTERS
    assert not name.startswith("/")
    assert ".." not in name.split("/")
    visible = name.replace("\u200c", "").replace("\u200d", "")  # invisible joiners
    assert visible.isprintable() or any(letter.isspace() for letter in visible)
    assert normalise_name(name) == name or name.startswith("…")
    name.encode("utf-8")

"""Names of artifacts are distinct within a job, and safe on every file system."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faces_jobs.worker.names import artifact_stem


def test_items_of_the_same_name_have_distinct_artifact_names() -> None:
    names = ["a.mp4", "a.mov", "sub/a.mp4", "A.MP4"]
    stems = [artifact_stem(position, name) for position, name in enumerate(names)]

    assert stems == ["0-a", "1-a", "2-a", "3-A"]
    assert len({stem.casefold() for stem in stems}) == 4


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("holiday 2024 (1).mp4", "7-holiday 2024 (1)"),
        ("archive.tar.gz", "7-archive.tar"),
        ("no extension", "7-no extension"),
        ("dot. A long sentence", "7-dot. A long sentence"),
        (".hidden", "7-hidden"),
        ("..mp4", "7-mp4"),
        ("", "7-file"),
        ("...", "7-file"),
        ("CON.mp4", "7-CON"),
        ("<img onerror=x>.png", "7-_img onerror_x_"),
        ('=HYPERLINK("x").png', "7-_HYPERLINK(_x_)"),
        ("日本語.png", "7-日本語"),
        ("שלום.png", "7-שלום"),
        ("हिन्दी.png", "7-हिन्दी"),
        ("x\u202egnp.exe", "7-x_gnp"),
        ("👍.png", "7-_"),
    ],
)
def test_unusual_names_are_made_safe(name: str, stem: str) -> None:
    assert artifact_stem(7, name) == stem


def test_long_names_are_shortened_to_fit_a_file_system() -> None:
    for letter in ("x", "é", "日", "👍"):
        assert len(artifact_stem(99_999, letter * 300).encode("utf-8")) <= 126


@given(st.integers(0, 99_999), st.text(st.characters(codec="utf-8"), max_size=400))
def test_every_name_is_safe(position: int, name: str) -> None:
    stem = artifact_stem(position, name)

    assert stem.startswith(f"{position}-")
    assert len(stem.encode("utf-8")) <= 126
    assert stem[-1] not in ". "
    assert not set(stem) & set('/\\:*?"<>|')
    assert not any(
        unicodedata.category(letter).startswith(("C", "Z")) for letter in stem.replace(" ", "")
    )

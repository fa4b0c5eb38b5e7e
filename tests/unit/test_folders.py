"""Server folders: no path leads outside its root, by `..`, links or races."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faces_jobs.errors import FolderError, MediaError
from faces_jobs.folders import (
    MAX_DEPTH,
    FoundFile,
    open_beneath,
    parts_of,
    root_folder,
    walk_beneath,
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root `a` with files, and a sibling `ab`, of which its name is a prefix, with a secret."""
    folder = tmp_path / "a"
    (folder / "sub" / "deep").mkdir(parents=True)
    (folder / "one.txt").write_text("one")
    (folder / "sub" / "two.txt").write_text("two")
    (folder / "sub" / "deep" / "three.txt").write_text("three")
    (tmp_path / "ab").mkdir()
    (tmp_path / "ab" / "secret.txt").write_text("secret")
    return folder


def test_a_file_beneath_the_root_is_read(root: Path) -> None:
    with open_beneath(root, "sub/two.txt") as file:
        assert file.path.read_text() == "two"
        assert file.bytes == 3
        assert file.modified_ns == (root / "sub" / "two.txt").stat().st_mtime_ns


def test_the_path_leads_to_the_opened_file_even_if_it_was_replaced(root: Path) -> None:
    with open_beneath(root, "one.txt") as file:
        (root / "one.txt").unlink()
        (root / "one.txt").symlink_to(root.parent / "ab" / "secret.txt")
        assert file.path.read_text() == "one"


@pytest.mark.parametrize(
    "path",
    [
        "../ab/secret.txt",
        "sub/../../ab/secret.txt",
        "..",
        "/etc/passwd",
        "sub\\..\\x",
        "one.txt\0.mp4",
        "/".join(["x"] * (MAX_DEPTH + 1)),
        "",
        ".",
    ],
)
def test_paths_that_leave_the_root_are_refused(root: Path, path: str) -> None:
    with pytest.raises(FolderError), open_beneath(root, path):
        pass


def test_a_sibling_whose_name_begins_like_the_root_is_not_beneath_it(root: Path) -> None:
    with pytest.raises(FolderError):
        list(walk_beneath(root, "../ab"))
    with pytest.raises(MediaError), open_beneath(root, "b/secret.txt"):
        pass


def test_links_are_not_followed_inside_or_outside_the_root(root: Path) -> None:
    (root / "out.txt").symlink_to(root.parent / "ab" / "secret.txt")
    (root / "in.txt").symlink_to("one.txt")
    (root / "outside").symlink_to(root.parent / "ab")
    (root / "inside").symlink_to("sub")

    for path in ("out.txt", "in.txt", "outside/secret.txt", "inside/two.txt"):
        with pytest.raises(MediaError), open_beneath(root, path):
            pass
    with pytest.raises(FolderError):
        list(walk_beneath(root, "outside"))
    assert [(found.relative_path, found.is_regular) for found in walk_beneath(root, "")] == [
        ("in.txt", False),
        ("inside", False),
        ("one.txt", True),
        ("out.txt", False),
        ("outside", False),
        ("sub/deep/three.txt", True),
        ("sub/two.txt", True),
    ]


def test_a_folder_swapped_for_a_link_after_the_walk_is_not_followed(root: Path) -> None:
    found = [file.relative_path for file in walk_beneath(root, "sub")]
    (root / "sub").rename(root / "gone")
    (root / "sub").symlink_to(root.parent / "ab")
    (root.parent / "ab" / "two.txt").write_text("secret")

    assert "sub/two.txt" in found
    with pytest.raises(MediaError), open_beneath(root, "sub/two.txt"):
        pass


def test_pipes_sockets_and_devices_are_not_read(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(root / "pipe")
    monkeypatch.chdir(root)  # the system allows a socket's path about a hundred bytes
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        for name in ("pipe", "socket", "sub"):
            with pytest.raises(MediaError), open_beneath(root, name):
                pass
    with pytest.raises(MediaError), open_beneath(Path("/dev"), "null"):
        pass
    kinds = {found.relative_path: found.is_regular for found in walk_beneath(root, "")}
    assert (kinds["pipe"], kinds["socket"]) == (False, False)


def test_hidden_files_are_skipped(root: Path) -> None:
    (root / ".DS_Store").write_text("x")
    (root / ".git").mkdir()
    (root / ".git" / "config").write_text("x")

    assert [found.relative_path for found in walk_beneath(root, "./")] == [
        "one.txt",
        "sub/deep/three.txt",
        "sub/two.txt",
    ]


def test_a_folder_that_can_not_be_read_is_reported_and_the_others_are_read(root: Path) -> None:
    (root / "three.txt").write_text("three")
    (root / "lost+found").mkdir(mode=0)
    found = walk_beneath(root, "")
    if os.geteuid():
        assert next(found) == FoundFile("lost+found", is_regular=False)
    else:  # root may read all folders, but not one that is gone
        (root / "lost+found").chmod(0o700)
    assert next(found) == FoundFile("one.txt", is_regular=True)
    (root / "sub").rename(root.parent / "sub")
    assert list(found) == [
        FoundFile("sub", is_regular=False),
        FoundFile("three.txt", is_regular=True),
    ]


def test_the_walk_may_start_at_a_single_file(root: Path) -> None:
    assert [found.relative_path for found in walk_beneath(root, "sub/two.txt")] == ["sub/two.txt"]


def test_a_missing_path_is_reported_without_the_root_s_path(root: Path) -> None:
    for path in ("nowhere", "nowhere/deep", "one.txt/x"):
        with pytest.raises(FolderError) as caught:
            list(walk_beneath(root, path))
        assert str(root) not in str(caught.value)
    with pytest.raises(MediaError) as failed, open_beneath(root, "nowhere"):
        pass
    assert str(root) not in str(failed.value)


def test_no_descriptor_is_left_open(root: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for path in ("one.txt", "sub", "nowhere", "sub/deep/three.txt"):
        try:
            with open_beneath(root, path):
                pass
        except MediaError:
            continue
    list(walk_beneath(root, ""))
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_roots_are_found_by_name_only(root: Path) -> None:
    assert root_folder({"films": root}, "films") == root
    with pytest.raises(FolderError, match="films"):
        root_folder({"films": root}, str(root))


@given(st.text())
def test_any_text_is_a_path_beneath_the_root_or_refused(text: str) -> None:
    try:
        parts = parts_of(text)
    except FolderError:
        return
    joined = os.path.normpath(os.path.join("/root", *parts))  # noqa: PTH118 (compared as text on purpose)
    assert joined == "/root" or joined.startswith("/root/")
    assert ".." not in parts

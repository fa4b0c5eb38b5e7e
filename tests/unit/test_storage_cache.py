"""Copies of files from a bucket: made once, kept while they are read, gone soon after."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import pytest

from faces_jobs.storage.cache import Cache

JOB = "a-job"


class Loading:
    """Counts how often a file is loaded."""

    def __init__(self, content: bytes = b"content") -> None:
        self.content = content
        self.times = 0

    def __call__(self, file: BinaryIO) -> None:
        self.times += 1
        file.write(self.content)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "fetched"


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_copy_is_loaded_once_and_kept_for_a_while(folder: Path) -> None:
    cache, load = Cache(folder, max_bytes=100), Loading()
    for _ in range(3):
        with cache.copy(JOB, "key", load) as path:
            assert path.read_bytes() == b"content"
    with cache.copy(JOB, "other key", load) as path:
        assert path.read_bytes() == b"content"
    assert load.times == 2


def test_workers_that_need_it_at_once_wait_for_one_load(folder: Path) -> None:
    load = Loading()
    meeting = threading.Barrier(4)

    def need(_number: int) -> bytes:
        cache = Cache(folder, max_bytes=100)
        meeting.wait()
        with cache.copy(JOB, "key", load) as path:
            return path.read_bytes()

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(need, range(4))) == [b"content"] * 4
    assert load.times == 1


def test_who_waits_for_another_s_load_hears_that_it_goes_on_and_may_leave(folder: Path) -> None:
    loading, left = threading.Event(), threading.Event()

    def slow(file: BinaryIO) -> None:
        loading.set()
        while not left.wait(0.01):
            file.write(b"more")
            file.flush()

    def leave() -> None:
        raise InterruptedError

    def load_slowly() -> None:
        with Cache(folder, max_bytes=100).copy(JOB, "key", slow):
            pass

    loader = threading.Thread(target=load_slowly)
    loader.start()
    cache, never = Cache(folder, max_bytes=100), Loading()
    try:
        assert loading.wait(10)
        with pytest.raises(InterruptedError), cache.copy(JOB, "key", never, on_progress=leave):
            pass
    finally:
        left.set()
        loader.join()
    assert never.times == 0


def test_a_load_that_fails_leaves_nothing_and_may_be_tried_again(folder: Path) -> None:
    cache = Cache(folder, max_bytes=100)

    def failing(file: BinaryIO) -> None:
        file.write(b"half")
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError), cache.copy(JOB, "key", failing):
        pass
    assert files(folder) == []
    with cache.copy(JOB, "key", Loading()) as path:
        assert path.read_bytes() == b"content"


def test_beyond_the_bound_the_least_lately_used_go(folder: Path) -> None:
    cache = Cache(folder, max_bytes=15)
    for age, key in ((30, "oldest"), (20, "older")):
        with cache.copy(JOB, key, Loading()) as path:
            pass
        os.utime(path, (path.stat().st_mtime - age,) * 2)
    with cache.copy(JOB, "new", Loading()):
        pass
    loads = {}
    for key in ("new", "older", "oldest"):
        with cache.copy(JOB, key, load := Loading()):
            loads[key] = load.times
    assert loads == {"new": 0, "older": 0, "oldest": 1}


def test_copies_are_looked_at_when_there_may_be_too_many_not_after_each(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("faces_jobs.storage.cache.TRIM_EVERY_SECONDS", 3600)
    cache, looks = Cache(folder, max_bytes=70), []
    trim = cache.trim

    def counted(*, to_bytes: int | None = None) -> int:
        looks.append(len(files(folder)))
        return trim(to_bytes=to_bytes)

    monkeypatch.setattr(cache, "trim", counted)
    for number in range(12):
        with cache.copy(JOB, str(number), Loading()):
            pass
    assert looks == [1, 11], "at first, and when there were too many bytes"
    assert len(files(folder)) == 10


def test_what_is_read_is_not_removed_and_what_is_not_kept_goes_at_once(folder: Path) -> None:
    cache = Cache(folder, max_bytes=0, keep_seconds=0)
    with cache.copy(JOB, "key", Loading()) as path:
        assert cache.trim() == 0
        with cache.copy(JOB, "key", again := Loading()) as same:
            assert same == path
        assert again.times == 0
        assert path.exists(), "the first still reads it"
    assert files(folder) == []
    assert list(folder.iterdir()) == []


def test_a_copy_goes_though_no_more_work_comes(folder: Path) -> None:
    cache = Cache(folder, max_bytes=100, keep_seconds=0.01)
    with cache.copy(JOB, "key", Loading()):
        pass
    assert cache._trim_timer is not None
    cache._trim_timer.join()
    assert files(folder) == []


def test_the_copies_of_a_job_can_be_forgotten(folder: Path) -> None:
    cache = Cache(folder, max_bytes=100)
    with cache.copy(JOB, "key", Loading()):
        cache.forget(JOB)
    assert files(folder) == []


KILLED = """
import os, signal, sys
from pathlib import Path
from faces_jobs.storage.cache import Cache

def load(file):
    file.write(b"half of it" * 1000)
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)

with Cache(Path(sys.argv[1]), max_bytes=100).copy("a-job", "key", load):
    pass
"""


def test_what_somebody_left_who_was_killed_is_never_taken_for_a_copy(folder: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED, folder], check=False)
    assert [path.suffix for path in files(folder)] == [".part"]
    cache = Cache(folder, max_bytes=100)

    with cache.copy(JOB, "key", Loading()) as path:
        assert path.read_bytes() == b"content"
        assert files(folder) == [path]

    subprocess.run([sys.executable, "-c", KILLED, folder], check=False)
    assert cache.trim(to_bytes=0) == 1
    assert files(folder) == []

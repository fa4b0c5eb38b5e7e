"""The cache of a bucket's files: loaded once, kept while they are read, removed soon after."""

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


class CountingLoad:
    """Loads a file, and counts how often it does."""

    def __init__(self, content: bytes = b"content") -> None:
        self.content = content
        self.calls = 0

    def __call__(self, file: BinaryIO) -> None:
        self.calls += 1
        file.write(self.content)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "fetched"


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_a_copy_is_loaded_once_and_kept_for_a_while(folder: Path) -> None:
    cache, load = Cache(folder, max_bytes=100), CountingLoad()
    for _ in range(3):
        with cache.copy(JOB, "key", load) as path:
            assert path.read_bytes() == b"content"
    with cache.copy(JOB, "other key", load) as path:
        assert path.read_bytes() == b"content"
    assert load.calls == 2


def test_concurrent_readers_of_a_file_share_one_load(folder: Path) -> None:
    load = CountingLoad()
    barrier = threading.Barrier(4)

    def read(_number: int) -> bytes:
        cache = Cache(folder, max_bytes=100)
        barrier.wait()
        with cache.copy(JOB, "key", load) as path:
            return path.read_bytes()

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(read, range(4))) == [b"content"] * 4
    assert load.calls == 1


def test_a_reader_that_waits_for_another_s_load_sees_its_progress_and_may_stop_waiting(
    folder: Path,
) -> None:
    loading, stopped = threading.Event(), threading.Event()

    def slow(file: BinaryIO) -> None:
        loading.set()
        while not stopped.wait(0.01):
            file.write(b"more")
            file.flush()

    def stop_waiting() -> None:
        raise InterruptedError

    def load_slowly() -> None:
        with Cache(folder, max_bytes=100).copy(JOB, "key", slow):
            pass

    loader = threading.Thread(target=load_slowly)
    loader.start()
    cache, never = Cache(folder, max_bytes=100), CountingLoad()
    try:
        assert loading.wait(10)
        with (
            pytest.raises(InterruptedError),
            cache.copy(JOB, "key", never, on_progress=stop_waiting),
        ):
            pass
    finally:
        stopped.set()
        loader.join()
    assert never.calls == 0


def test_a_load_that_fails_leaves_no_file_and_can_be_repeated(folder: Path) -> None:
    cache = Cache(folder, max_bytes=100)

    def failing(file: BinaryIO) -> None:
        file.write(b"half")
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError), cache.copy(JOB, "key", failing):
        pass
    assert files(folder) == []
    with cache.copy(JOB, "key", CountingLoad()) as path:
        assert path.read_bytes() == b"content"


def test_a_folder_that_is_removed_with_its_last_copy_is_created_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_file = os.open
    removed: list[Path] = []

    def remove_folder_once(path: Path, flags: int, mode: int = 0o777) -> int:
        if not removed:
            path.parent.rmdir()  # as another process does, after it has removed an old copy
            removed.append(path.parent)
        return open_file(path, flags, mode)

    monkeypatch.setattr(os, "open", remove_folder_once)
    with Cache(folder, max_bytes=100).copy(JOB, "key", CountingLoad()) as path:
        assert path.read_bytes() == b"content"
    assert removed == [folder / JOB]


def test_beyond_the_size_limit_the_least_recently_used_copies_are_removed(folder: Path) -> None:
    cache = Cache(folder, max_bytes=15)
    for age, key in ((30, "used again"), (20, "oldest")):
        with cache.copy(JOB, key, CountingLoad()) as path:
            pass
        os.utime(path, (path.stat().st_mtime - age,) * 2)
    for key in ("used again", "new"):
        with cache.copy(JOB, key, CountingLoad()):
            pass
    loads = {}
    for key in ("new", "used again", "oldest"):
        with cache.copy(JOB, key, load := CountingLoad()):
            loads[key] = load.calls
    assert loads == {"new": 0, "used again": 0, "oldest": 1}


def test_the_cache_is_trimmed_when_it_may_be_too_large_not_after_each_copy(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("faces_jobs.storage.cache.TRIM_EVERY_SECONDS", 3600)
    cache, files_at_trim = Cache(folder, max_bytes=70), []
    trim = cache.trim

    def recorded_trim(*, to_bytes: int | None = None) -> int:
        files_at_trim.append(len(files(folder)))
        return trim(to_bytes=to_bytes)

    monkeypatch.setattr(cache, "trim", recorded_trim)
    for number in range(12):
        with cache.copy(JOB, str(number), CountingLoad()):
            pass
    assert files_at_trim == [1, 11], "at first, and when there were too many bytes"
    assert len(files(folder)) == 10


def test_a_file_among_the_folders_of_the_cache_is_ignored(folder: Path) -> None:
    folder.mkdir()
    (folder / ".DS_Store").touch()
    cache = Cache(folder, max_bytes=0)
    with cache.copy(JOB, "key", CountingLoad()):
        pass
    assert files(folder) == [folder / ".DS_Store"]


def test_a_copy_beyond_the_limits_is_removed_once_nobody_reads_it(
    folder: Path,
) -> None:
    cache = Cache(folder, max_bytes=0, keep_seconds=0)
    with cache.copy(JOB, "key", CountingLoad()) as path:
        assert cache.trim() == 0
        with cache.copy(JOB, "key", again := CountingLoad()) as same:
            assert same == path
        assert again.calls == 0
        assert path.exists(), "the first reader still uses it"
    assert files(folder) == []
    assert list(folder.iterdir()) == []


def test_a_copy_is_removed_even_if_the_cache_is_not_used_again(folder: Path) -> None:
    cache = Cache(folder, max_bytes=100, keep_seconds=0.01)
    with cache.copy(JOB, "key", CountingLoad()):
        pass
    assert cache._trim_timer is not None
    cache._trim_timer.join()
    assert files(folder) == []


def test_old_copies_are_removed_however_much_the_cache_is_used(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("faces_jobs.storage.cache.TRIM_EVERY_SECONDS", 0)
    cache = Cache(folder, max_bytes=100, keep_seconds=60)
    with cache.copy(JOB, "old", CountingLoad()) as old:
        pass
    os.utime(old, (old.stat().st_mtime - 61,) * 2)
    with cache.copy(JOB, "new", CountingLoad()) as new:
        pass
    assert files(folder) == [new]


def test_the_copies_of_a_job_can_be_removed_while_they_are_read(folder: Path) -> None:
    cache = Cache(folder, max_bytes=100)
    with cache.copy(JOB, "key", CountingLoad()):
        cache.forget(JOB)
    assert files(folder) == []


KILLED_LOAD = """
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


def test_the_partial_file_of_a_killed_process_is_never_used_as_a_copy(folder: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED_LOAD, folder], check=False)
    assert [path.suffix for path in files(folder)] == [".part"]
    cache = Cache(folder, max_bytes=100)

    with cache.copy(JOB, "key", CountingLoad()) as path:
        assert path.read_bytes() == b"content"
        assert files(folder) == [path]

    subprocess.run([sys.executable, "-c", KILLED_LOAD, folder], check=False)
    assert cache.trim(to_bytes=0) == 1
    assert files(folder) == []

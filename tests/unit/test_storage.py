"""What is specific to the local storage: its paths, its folders, a full disk."""

from __future__ import annotations

import errno
import hashlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from faces_jobs.errors import NotFoundError, StorageFullError
from faces_jobs.storage import LocalStorage, raising_storage_full

JOB = str(uuid.UUID(int=1))


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path / "files")


def files(storage: LocalStorage) -> list[str]:
    """The paths of all files, relative to the storage's folder."""
    return sorted(
        str(path.relative_to(storage.folder))
        for path in storage.folder.rglob("*")
        if path.is_file()
    )


def publish(storage: LocalStorage, *, owner: str = "1", token: str = "t", text: str = "x") -> str:
    """Publish one artifact; return its key."""
    with storage.workspace(token) as workspace:
        (workspace / "out").mkdir()
        (workspace / "out" / "a.txt").write_text(text)
        stored = storage.publish(workspace / "out", job_id=JOB, owner=owner, token=token)
    return stored["a.txt"].key


def folders_above(storage: LocalStorage, path: Path) -> list[Path]:
    """The folders that may be new with this path, up to the storage's own."""
    above = list(path.parents)
    return above[: above.index(storage.folder) + 1]


def inodes(*paths: Path) -> set[int]:
    return {path.stat().st_ino for path in paths}


def test_publishing_stores_one_folder_of_the_workspace(storage: LocalStorage) -> None:
    with storage.workspace("token") as workspace:
        out = workspace / "out"
        out.mkdir()
        (out / "a.txt").write_text("abc")
        (workspace / "scratch").write_text("not published")
        stored = storage.publish(out, job_id=JOB, owner="7", token="token")

    assert files(storage) == [f"jobs/{JOB}/artifacts/7-token/a.txt"]
    assert stored["a.txt"].bytes == 3
    assert stored["a.txt"].sha256 == hashlib.sha256(b"abc").hexdigest()
    assert storage.path_of(stored["a.txt"].key).read_text() == "abc"


def test_published_files_survive_a_power_failure(
    storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: set[int] = set()
    monkeypatch.setattr(os, "fsync", lambda file: synced.add(os.fstat(file).st_ino))
    path = storage.path_of(publish(storage))
    assert synced == inodes(path, *folders_above(storage, path))


def test_uploads_survive_a_power_failure_and_are_synced_when_all_have_arrived(
    storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: set[int] = set()
    monkeypatch.setattr(os, "fsync", lambda file: synced.add(os.fstat(file).st_ino))
    keys = [storage.upload_key(JOB, position) for position in range(20)]
    with storage.receive() as incoming:
        received = [incoming.add("a", [b"abc"]) for _ in keys]
        assert not synced, "one by one takes many times as long as together"
        storage.store_uploads(list(zip(received, keys, strict=True)))
    paths = [storage.path_of(key) for key in keys]
    assert synced == inodes(*paths, *folders_above(storage, paths[0]))


def test_a_received_file_that_can_t_be_synced_is_not_stored(
    storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_file: int) -> None:
        raise OSError(errno.ENOSPC, "full")  # some file systems notice it only now

    monkeypatch.setattr(os, "fsync", fail)
    with storage.receive() as incoming, pytest.raises(StorageFullError):
        storage.store_uploads([(incoming.add("a", [b"abc"]), storage.upload_key(JOB, 0))])
    assert files(storage) == []


def test_unpublishing_the_last_artifacts_removes_the_job_s_folder(storage: LocalStorage) -> None:
    publish(storage)
    storage.unpublish(job_id=JOB, owner="1", token="t")
    storage.unpublish(job_id=JOB, owner="1", token="t")

    assert list((storage.folder / "jobs").iterdir()) == []
    assert files(storage) == [], "nor is anything left in the trash"


def test_a_job_that_can_t_be_removed_is_reported_and_counted(storage: LocalStorage) -> None:
    publish(storage)
    (storage.folder / "trash").touch()  # it can't be moved there

    assert storage.delete_job(JOB).error is not None
    assert storage.files_left(JOB) > 0

    (storage.folder / "trash").unlink()
    assert storage.delete_job(JOB).files == 1
    assert storage.files_left(JOB) == 0


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/etc/passwd",
        "../x",
        f"jobs/{JOB}",
        f"jobs/{JOB}/../../x",
        f"jobs/{JOB}/uploads/..",
        f"jobs/{JOB}/uploads/\0",
        "jobs/not-a-uuid/uploads/0",
        f"work/{JOB}/x",
        f"jobs/{JOB}/uploads//etc/passwd",
        f"jobs/{JOB}/uploads/0\n",
    ],
)
def test_invalid_keys_are_not_found(storage: LocalStorage, key: str) -> None:
    with pytest.raises(NotFoundError):
        storage.path_of(key)


def test_a_lack_of_space_is_reported_before_anything_is_written(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path / "files", min_free_bytes=2**62)
    with pytest.raises(StorageFullError), storage.receive():
        pass
    with pytest.raises(StorageFullError), storage.workspace("t"):
        pass
    with pytest.raises(StorageFullError):
        LocalStorage(tmp_path / "files").check_free_space(2**62)
    assert files(storage) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_errors_of_a_full_disk_become_storage_full_errors(number: int) -> None:
    with pytest.raises(StorageFullError), raising_storage_full():
        raise OSError(number, "full")
    with pytest.raises(PermissionError), raising_storage_full():
        raise PermissionError(errno.EACCES, "no")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="There is no /dev/full here.")
def test_a_write_to_a_full_device_raises_a_storage_full_error() -> None:
    with (
        pytest.raises(StorageFullError),
        raising_storage_full(),
        Path("/dev/full").open("wb") as file,
    ):
        file.write(b"x" * 100_000)


def test_the_sweep_removes_abandoned_folders_only(storage: LocalStorage) -> None:
    key = publish(storage)
    for kind in ("incoming", "work", "trash"):
        for name in ("abandoned", "in_use"):
            folder = storage.folder / kind / name
            folder.mkdir(parents=True)
            (folder / "file").write_text("x")
            if name == "abandoned":
                os.utime(folder / "file", (0, 0))
            os.utime(folder, (0, 0))

    assert storage.sweep(older_than_seconds=3600) == 3

    assert files(storage) == [
        "incoming/in_use/file",
        key,
        "trash/in_use/file",
        "work/in_use/file",
    ]


@pytest.mark.parametrize("folder", ["work", "jobs"])
def test_folders_that_another_process_removes_while_they_are_read_count_as_removed(
    storage: LocalStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    token = uuid.uuid4().hex
    storage.path_of(publish(storage)).parent.rename(storage.folder / "jobs" / JOB / "out")
    (storage.folder / "work" / token / "out").mkdir(parents=True)
    scandir = os.scandir

    def remove_and_scan(path: Path | str | int) -> Iterator[os.DirEntry[str]]:
        read = Path(str(path))
        if read.name == "out" and folder in read.parts:
            read.rename(tmp_path / "removed")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", remove_and_scan)
    if folder == "work":
        assert [name for name, _ in storage.workspaces()] == [token]
    else:
        assert storage.delete_job(JOB).error is None
        assert storage.files_left(JOB) == 0

"""The contract of storages: the same tests run on a folder and on a bucket."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from faces_jobs.errors import NotFoundError, UploadTooLargeError
from faces_jobs.settings import Settings
from faces_jobs.storage import Storage, open_storage
from faces_jobs.storage.bucket import BucketStorage
from faces_jobs.storage.s3 import PART_BYTES

JOB = str(uuid.UUID(int=1))
OTHER = str(uuid.UUID(int=2))
CONTENT = bytes(range(256)) * 8192  # more than one range request reads


@pytest.fixture(params=["local", "bucket"])
def storage(request: pytest.FixtureRequest, settings: Settings) -> Storage:
    if request.param == "bucket":
        settings = request.getfixturevalue("bucket").settings(settings)
    return open_storage(settings)


def upload(storage: Storage, content: bytes = b"abc", *, job_id: str = JOB) -> str:
    key = storage.upload_key(job_id, 0)
    with storage.receive() as incoming:
        storage.store_uploads([(incoming.add("film.mp4", [content]), key)])
    return key


def publish(
    storage: Storage, *names: str, job_id: str = JOB, owner: str = "1", token: str = "t"
) -> list[str]:
    with storage.workspace(token) as workspace:
        out = workspace / "out"
        out.mkdir()
        for name in names or ("a.txt",):
            (out / name).write_text(f"{token} {name}")
        stored = storage.publish(out, job_id=job_id, owner=owner, token=token)
    return [stored[name].key for name in names or ("a.txt",)]


def read_content(storage: Storage, key: str) -> bytes:
    with storage.open_file(key).file as file:
        return file.read()


def local_files(storage: Storage) -> list[Path]:
    """Return the files below the storage's folder on this machine."""
    return [path for path in storage.folder.rglob("*") if path.is_file()]


def test_an_upload_is_streamed_measured_hashed_and_stored(storage: Storage) -> None:
    key = storage.upload_key(JOB, 0)
    with storage.receive() as incoming:
        file = incoming.add("../../etc/passwd", iter([b"ab", b"", b"c"]))
        assert (file.bytes, file.sha256) == (3, hashlib.sha256(b"abc").hexdigest())
        assert storage.existing([key]) == set()
        storage.store_uploads([(file, key)])

    assert storage.existing([key]) == {key}
    assert read_content(storage, key) == b"abc"


def test_uploads_are_stored_each_under_its_key(storage: Storage) -> None:
    keys = [storage.upload_key(JOB, position) for position in range(12)]
    with storage.receive() as incoming:
        files = [incoming.add("a", [str(number).encode()]) for number in range(len(keys))]
        storage.store_uploads(list(zip(files, keys, strict=True)))
        assert not any(file.path.exists() for file in files), "received files are moved, not copied"

    assert [read_content(storage, key) for key in keys] == [b"%d" % n for n in range(len(keys))]


def test_an_unused_or_interrupted_upload_leaves_nothing(storage: Storage) -> None:
    def breaking() -> Iterator[bytes]:
        yield b"a"
        raise ConnectionResetError

    with storage.receive() as incoming:
        incoming.add("a", [b"a"])
    with pytest.raises(ConnectionResetError), storage.receive() as incoming:
        incoming.add("a", breaking())
    with pytest.raises(UploadTooLargeError), storage.receive(max_bytes=2) as incoming:
        incoming.add("a", [b"abc"])

    assert local_files(storage) == []
    assert list(storage.job_folders()) == []


def test_a_large_file_is_stored_unchanged(storage: Storage) -> None:
    large = os.urandom(PART_BYTES) + b"a second part"
    key = upload(storage, large)

    opened = storage.open_file(key)
    with opened.file as file:
        assert opened.bytes == len(large)
        assert hashlib.sha256(file.read()).digest() == hashlib.sha256(large).digest()
    with storage.fetch(key) as path:
        assert path.read_bytes() == large


def test_a_file_is_read_from_any_position(storage: Storage) -> None:
    opened = storage.open_file(upload(storage, CONTENT))
    with opened.file as file:
        assert file.seek(1_500_000) == 1_500_000
        assert file.read(10) == CONTENT[1_500_000:1_500_010]
        assert file.seek(-5, os.SEEK_END) == len(CONTENT) - 5
        assert file.read() == CONTENT[-5:]
        assert file.read() == b""
        file.seek(3)
        file.seek(2, os.SEEK_CUR)
        assert file.read(2) == CONTENT[5:7]
        file.seek(0)
        assert file.read() == CONTENT


def test_an_empty_file_is_stored(storage: Storage) -> None:
    key = upload(storage, b"")
    assert read_content(storage, key) == b""
    with storage.fetch(key) as path:
        assert path.stat().st_size == 0


def test_publishing_stores_only_the_files_of_the_folder(storage: Storage) -> None:
    with storage.workspace("token") as workspace:
        out = workspace / "out"
        out.mkdir()
        (out / "ü b.txt").write_text("abc")
        (out / "empty").touch()
        (workspace / "scratch").write_text("not published")
        stored = storage.publish(out, job_id=JOB, owner="7", token="token")

    assert set(stored) == {"ü b.txt", "empty"}
    kept = stored["ü b.txt"]
    assert kept.key == f"jobs/{JOB}/artifacts/7-token/ü b.txt"
    assert (kept.bytes, kept.sha256) == (3, hashlib.sha256(b"abc").hexdigest())
    assert read_content(storage, kept.key) == b"abc"
    assert local_files(storage) == [] or all("artifacts" in str(p) for p in local_files(storage))
    (folder,) = storage.job_folders()
    assert [key for key, _ in folder.attempts] == [f"jobs/{JOB}/artifacts/7-token"]


def test_attempts_have_separate_files_that_can_be_unpublished(storage: Storage) -> None:
    (winner,) = publish(storage, token="one")
    (loser,) = publish(storage, token="two")

    storage.unpublish(job_id=JOB, owner="1", token="two")
    storage.unpublish(job_id=JOB, owner="1", token="two")

    assert read_content(storage, winner) == b"one a.txt"
    assert storage.existing([winner, loser]) == {winner}


def test_several_attempts_are_removed_and_no_others(storage: Storage) -> None:
    others = [*publish(storage, token="ab"), *publish(storage, token="b"), upload(storage)]
    removed = [*publish(storage, "a.txt", "b.txt", token="a"), *publish(storage, owner="2")]

    storage.remove_attempts([])
    storage.remove_attempts([f"jobs/{JOB}/artifacts/1-a", f"jobs/{JOB}/artifacts/2-t"])

    assert storage.existing([*others, *removed]) == set(others)


def test_files_of_a_stage_are_fetched_in_order(storage: Storage, tmp_path: Path) -> None:
    keys = publish(storage, "1.json", "0.json", "2.mkv")
    paths = storage.fetch_all(keys, tmp_path)
    assert [path.read_text() for path in paths] == ["t 1.json", "t 0.json", "t 2.mkv"]
    assert [path.suffix for path in paths] == [".json", ".json", ".mkv"]
    storage.remove_attempts([f"jobs/{JOB}/artifacts/1-t"])
    with pytest.raises(NotFoundError):
        storage.fetch_all(keys, tmp_path)


def test_workspaces_are_listed_while_they_are_open(storage: Storage) -> None:
    token = uuid.uuid4().hex
    with storage.workspace(token):
        ((found, age),) = storage.workspaces()
        assert found == token
        assert age < 3600
    assert list(storage.workspaces()) == []


def test_a_workspace_can_be_removed_by_its_token(storage: Storage) -> None:
    token = uuid.uuid4().hex
    with storage.workspace(token):
        storage.remove_workspace(token)
        assert list(storage.workspaces()) == []


def test_deleting_a_job_removes_its_files_and_no_others(storage: Storage) -> None:
    upload(storage, b"abc")
    publish(storage, "a", "b")
    other = upload(storage, b"other", job_id=OTHER)

    removed = storage.delete_job(JOB)

    assert (removed.files, removed.bytes, removed.error) == (3, 3 + 3 + 3, None)
    assert storage.files_left(JOB) == 0
    assert [folder.job_id for folder in storage.job_folders()] == [OTHER]
    assert read_content(storage, other) == b"other"
    again = storage.delete_job(JOB)
    assert (again.files, again.bytes, again.error) == (0, 0, None)


def test_files_left_are_counted(storage: Storage) -> None:
    assert storage.files_left(JOB) == 0
    upload(storage)
    assert storage.files_left(JOB) >= 1


def test_what_else_is_among_the_job_folders_is_ignored(storage: Storage) -> None:
    upload(storage)
    for name in (".DS_Store", "lost+found/x"):
        if isinstance(storage, BucketStorage):
            storage._bucket.put_marker(f"jobs/{name}")
        else:
            path = storage.folder / "jobs" / name
            path.parent.mkdir(exist_ok=True)
            path.touch()

    assert [folder.job_id for folder in storage.job_folders()] == [JOB]


def test_job_folders_are_listed_in_order_after_any_job(storage: Storage) -> None:
    jobs = [str(uuid.UUID(int=number)) for number in (3, 1, 2)]
    for job_id in jobs:
        publish(storage, job_id=job_id, token="a")
        publish(storage, job_id=job_id, token="b")

    folders = list(storage.job_folders())

    assert [folder.job_id for folder in folders] == sorted(jobs)
    assert all(folder.age_seconds < 3600 for folder in folders)
    assert [len(folder.attempts) for folder in folders] == [2, 2, 2]
    rest = list(storage.job_folders(min(jobs)))
    assert [folder.job_id for folder in rest] == sorted(jobs)[1:]
    assert list(storage.job_folders(max(jobs))) == []


def test_missing_files_are_not_found(storage: Storage) -> None:
    key = storage.upload_key(JOB, 0)
    with pytest.raises(NotFoundError):
        storage.open_file(key)
    with pytest.raises(NotFoundError), storage.fetch(key):
        pass
    assert storage.existing([key, "jobs/x/y", "../etc/passwd"]) == set()


def test_invalid_keys_are_not_found(storage: Storage) -> None:
    for key in (
        "",
        "/etc/passwd",
        "../x",
        f"jobs/{JOB}/../../x",
        f"jobs/{JOB}/uploads/\0",
        f"work/{JOB}/x",
    ):
        with pytest.raises(NotFoundError):
            storage.open_file(key)
        with pytest.raises(NotFoundError), storage.fetch(key):
            pass


def test_the_check_for_writing_leaves_no_file(storage: Storage) -> None:
    storage.check_writable()
    assert local_files(storage) == []
    assert list(storage.job_folders()) == []


def test_the_sweep_keeps_stored_and_young_files(storage: Storage) -> None:
    key = upload(storage)
    token = uuid.uuid4().hex
    with storage.workspace(token) as workspace:
        (workspace / "file").write_text("x")
        assert storage.sweep(older_than_seconds=3600) == 0
        assert (workspace / "file").exists()
    assert storage.existing([key]) == {key}

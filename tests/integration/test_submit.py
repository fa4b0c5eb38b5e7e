"""Submissions: what is stored, what is refused, and what a repeated key returns."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from faces_jobs.db.session import Database
from faces_jobs.db.tables import JobRow, SegmentRow
from faces_jobs.errors import (
    ArchiveError,
    EmptyFileError,
    FolderError,
    IdempotencyConflictError,
    OptionsError,
    StorageFullError,
    SubmissionError,
    TextError,
    UploadTooLargeError,
)
from faces_jobs.jobs.spec import JobSpec
from faces_jobs.jobs.status import ItemStatus
from faces_jobs.queue.producer import CeleryQueue, open_queue
from faces_jobs.results import get_job, list_items, list_jobs
from faces_jobs.retention import delete_job
from faces_jobs.settings import Settings
from faces_jobs.storage import LocalStorage
from faces_jobs.submit import (
    Submitted,
    submit_files,
    submit_folder,
)

# The smallest PNG and GIF that are recognised by their content; only a worker decodes them.
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 40
GIF = b"GIF89a" + b"\0" * 40
PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:1\nfile:///etc/passwd\n"


class Submitter:
    """Submits files and folders with the dependencies of one service."""

    def __init__(
        self, database: Database, storage: LocalStorage, queue: CeleryQueue, settings: Settings
    ) -> None:
        self.database = database
        self.storage = storage
        self.queue = queue
        self.settings = settings

    def submit(
        self,
        files: Sequence[tuple[str, bytes]],
        spec: JobSpec | None = None,
        *,
        key: str | None = None,
        **overrides: Any,
    ) -> Submitted:
        """Stream files to the storage and submit them as the web application does."""
        with self.storage.receive() as incoming:
            received = [incoming.add(name, [content]) for name, content in files]
            return submit_files(
                received,
                spec or JobSpec(),
                database=self.database,
                storage=self.storage,
                queue=overrides.get("queue", self.queue),
                settings=overrides.get("settings", self.settings),
                idempotency_key=key,
            )

    def submit_folder(self, root: str, path: str, *, key: str | None = None) -> Submitted:
        """Submit a folder of the server's roots."""
        return submit_folder(
            root,
            path,
            JobSpec(),
            database=self.database,
            storage=self.storage,
            queue=self.queue,
            settings=self.settings,
            idempotency_key=key,
        )

    def stored_files(self) -> list[Path]:
        """Return the path of every file in the storage."""
        return sorted(path for path in self.storage.folder.rglob("*") if path.is_file())

    def jobs(self) -> list[str]:
        """Return the id of every job in the database."""
        with self.database.read() as session:
            return list(session.scalars(select(JobRow.id)))


@pytest.fixture
def submitter(
    database: Database, storage: LocalStorage, queue: CeleryQueue, settings: Settings
) -> Submitter:
    return Submitter(database, storage, queue, settings)


@pytest.fixture
def films(submitter: Submitter, tmp_path: Path) -> Path:
    """A root named `films` that holds some files."""
    folder = tmp_path / "films"
    (folder / "day" / "sub").mkdir(parents=True)
    (folder / "day" / "a.png").write_bytes(PNG)
    (folder / "day" / "sub" / "b.gif").write_bytes(GIF)
    submitter.settings = submitter.settings.model_copy(update={"roots": {"films": folder}})
    return folder


def test_files_become_a_job_for_which_messages_are_sent(submitter: Submitter) -> None:
    submitted = submitter.submit(
        [("a.png", PNG), ("trip/a.png", GIF)], JobSpec(label="Trip", expression=False)
    )

    job = get_job(submitter.database, submitted.job_id)
    assert not submitted.replayed
    assert (job.status, job.label, job.options.expression) == ("queued", "Trip", False)
    items = list_items(submitter.database, job.id).items
    assert [(item.name, item.bytes, item.kind) for item in items] == [
        ("a.png", len(PNG), "image"),
        ("trip/a.png", len(GIF), "image"),
    ]
    assert [path.read_bytes() for path in submitter.stored_files()] == [PNG, GIF]
    assert submitter.queue.depth() == 2


def test_the_same_name_twice_is_two_items(submitter: Submitter) -> None:
    submitted = submitter.submit([("a.png", PNG), ("a.png", GIF)])
    assert len(list_items(submitter.database, submitted.job_id).items) == 2


def test_a_refused_file_is_an_item_that_failed(submitter: Submitter) -> None:
    submitted = submitter.submit([("a.png", PNG), ("list.mp4", PLAYLIST), ("empty.png", b"")])

    items = list_items(submitter.database, submitted.job_id).items
    assert [item.status for item in items] == [
        ItemStatus.QUEUED,
        ItemStatus.FAILED,
        ItemStatus.FAILED,
    ]
    assert [item.error and item.error.code for item in items] == [None, "text", "empty-file"]
    assert len(submitter.stored_files()) == 1, "refused files are not stored"
    assert submitter.queue.depth() == 1


@pytest.mark.parametrize(
    ("files", "error"),
    [
        ([], SubmissionError),
        ([("a.mp4", b"")], EmptyFileError),
        ([("a.mp4", PLAYLIST)], TextError),
        ([("a.mp4", b"PK\x03\x04" + bytes(range(256)))], ArchiveError),
        ([("a.mp4", b""), ("b.mp4", PLAYLIST)], SubmissionError),
    ],
)
def test_a_submission_without_a_usable_file_leaves_nothing(
    submitter: Submitter, files: list[tuple[str, bytes]], error: type[Exception]
) -> None:
    with pytest.raises(error):
        submitter.submit(files)

    assert submitter.jobs() == []
    assert submitter.stored_files() == []
    assert submitter.queue.depth() == 0


def test_more_files_than_allowed_are_refused(submitter: Submitter) -> None:
    few = submitter.settings.model_copy(update={"max_files": 2})
    with pytest.raises(UploadTooLargeError):
        submitter.submit([("a.png", PNG)] * 3, settings=few)
    assert submitter.jobs() == []


def test_a_submission_to_a_full_disk_is_refused_and_leaves_nothing(submitter: Submitter) -> None:
    full = LocalStorage(submitter.storage.folder, min_free_bytes=2**62)
    with submitter.storage.receive() as incoming:
        file = incoming.add("a.png", [PNG])
        with pytest.raises(StorageFullError):
            submit_files(
                [file],
                JobSpec(),
                database=submitter.database,
                storage=full,
                queue=submitter.queue,
                settings=submitter.settings,
            )
    assert submitter.jobs() == []
    assert submitter.stored_files() == []


def test_a_file_that_vanished_leaves_no_job(submitter: Submitter) -> None:
    with submitter.storage.receive() as incoming:
        kept = incoming.add("a.png", [PNG])
        gone = incoming.add("b.png", [PNG])

        class Vanishing(LocalStorage):
            def store_uploads(self, files: Any) -> None:
                gone.path.unlink()
                super().store_uploads(files)

        with pytest.raises(FileNotFoundError):
            submit_files(
                [kept, gone],
                JobSpec(),
                database=submitter.database,
                storage=Vanishing(submitter.storage.folder),
                queue=submitter.queue,
                settings=submitter.settings,
            )
    assert submitter.jobs() == []
    assert submitter.stored_files() == []


def test_a_job_is_kept_when_the_broker_is_unreachable(submitter: Submitter) -> None:
    unreachable = submitter.settings.model_copy(update={"broker_url": "redis://127.0.0.1:1/0"})
    with open_queue(unreachable) as queue:
        submitted = submitter.submit([("a.png", PNG)], queue=queue)

    assert submitter.jobs() == [submitted.job_id]
    with submitter.database.read() as session:
        assert session.scalars(select(SegmentRow.last_rung_at)).all() == [None]


def test_a_repeated_key_returns_the_first_job(submitter: Submitter) -> None:
    first = submitter.submit([("a.png", PNG)], key="k1")
    again = submitter.submit([("a.png", PNG)], key="k1")
    other = submitter.submit([("a.png", PNG)], key="k2")

    assert again == Submitted(first.job_id, replayed=True)
    assert other.job_id != first.job_id
    assert len(submitter.stored_files()) == 2
    assert submitter.queue.depth() == 2


@pytest.mark.parametrize(
    ("files", "spec"),
    [
        ([("b.png", PNG)], JobSpec()),
        ([("a.png", GIF)], JobSpec()),
        ([("a.png", PNG)], JobSpec(gender=False)),
        ([("a.png", PNG), ("a.png", PNG)], JobSpec()),
    ],
)
def test_the_same_key_with_other_content_is_a_conflict(
    submitter: Submitter, files: list[tuple[str, bytes]], spec: JobSpec
) -> None:
    submitter.submit([("a.png", PNG)], key="k")
    with pytest.raises(IdempotencyConflictError):
        submitter.submit(files, spec, key="k")
    assert len(submitter.jobs()) == 1
    assert len(submitter.stored_files()) == 1


def test_concurrent_posts_with_one_key_make_one_job(submitter: Submitter) -> None:
    barrier = threading.Barrier(6)
    outcomes: list[Submitted] = []

    def post() -> None:
        barrier.wait()
        outcomes.append(submitter.submit([("a.png", PNG)], key="one"))

    threads = [threading.Thread(target=post) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(outcomes) == 6
    assert {outcome.job_id for outcome in outcomes} == set(submitter.jobs())
    assert sorted(outcome.replayed for outcome in outcomes) == [False] + [True] * 5
    assert len(submitter.stored_files()) == 1


def test_a_key_is_free_again_when_its_job_is_deleted(submitter: Submitter) -> None:
    first = submitter.submit([("a.png", PNG)], key="k")
    delete_job(first.job_id, database=submitter.database, storage=submitter.storage)

    assert not submitter.submit([("a.png", GIF)], key="k").replayed


@pytest.mark.parametrize("key", ["", "x" * 256, "a\nb", "\0"])
def test_invalid_keys_are_refused(submitter: Submitter, key: str) -> None:
    with pytest.raises(OptionsError, match="Idempotency-Key"):
        submitter.submit([("a.png", PNG)], key=key)


# Folders of the server


def test_a_folder_is_submitted_without_copying_its_files(submitter: Submitter, films: Path) -> None:
    submitted = submitter.submit_folder("films", "day")

    items = list_items(submitter.database, submitted.job_id).items
    assert [item.name for item in items] == ["a.png", "sub/b.gif"]
    assert submitter.stored_files() == []
    assert (films / "day" / "a.png").read_bytes() == PNG


def test_links_and_pipes_in_a_folder_become_items_that_failed(
    submitter: Submitter, films: Path
) -> None:
    (films / "day" / "link.png").symlink_to("/etc/passwd")
    (films / "day" / b"caf\xe9.png".decode("utf-8", "surrogateescape")).write_bytes(PNG)

    submitted = submitter.submit_folder("films", "day")

    items = {item.name: item for item in list_items(submitter.database, submitted.job_id).items}
    assert items["link.png"].status is ItemStatus.FAILED
    assert items["caf?.png"].status is ItemStatus.FAILED
    assert items["a.png"].status is ItemStatus.QUEUED


@pytest.mark.parametrize(
    ("root", "path"),
    [
        ("films", "nowhere"),
        ("films", "../films/day"),
        ("films", "/etc"),
        ("films", "empty"),
        ("other", "day"),
        ("", ""),
    ],
)
def test_invalid_folders_are_refused(
    submitter: Submitter, films: Path, root: str, path: str
) -> None:
    (films / "empty").mkdir()
    with pytest.raises(FolderError) as caught:
        submitter.submit_folder(root, path)
    assert str(films) not in str(caught.value)
    assert submitter.jobs() == []


@pytest.mark.usefixtures("films")
def test_a_folder_with_too_many_files_is_refused(submitter: Submitter) -> None:
    submitter.settings = submitter.settings.model_copy(update={"max_files": 1})
    with pytest.raises(UploadTooLargeError):
        submitter.submit_folder("films", "day")


def test_a_repeated_key_returns_the_first_job_of_a_folder(
    submitter: Submitter, films: Path
) -> None:
    first = submitter.submit_folder("films", "day", key="k")
    (films / "day" / "new.png").write_bytes(PNG)

    assert submitter.submit_folder("films", "day", key="k") == Submitted(
        first.job_id, replayed=True
    )
    with pytest.raises(IdempotencyConflictError):
        submitter.submit_folder("films", "day/sub", key="k")
    assert len(list_jobs(submitter.database).jobs) == 1

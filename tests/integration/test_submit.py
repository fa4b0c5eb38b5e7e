"""Submissions: what is stored, what is refused, and what a repeated key returns."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
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
from faces_jobs.queue import CeleryQueue, open_queue
from faces_jobs.results import get_job, list_items, list_jobs
from faces_jobs.retention import delete_job
from faces_jobs.settings import Settings
from faces_jobs.storage import LocalStorage
from faces_jobs.submit import (
    MAX_NAME_CHARACTERS,
    Submitted,
    normalise_name,
    submit_files,
    submit_folder,
)

# The smallest PNG and GIF whose content says so; what is in them matters to the worker only.
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 40
GIF = b"GIF89a" + b"\0" * 40
PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:1\nfile:///etc/passwd\n"


class Desk:
    """Where submissions are made: all that a submission needs."""

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
        **changed: Any,
    ) -> Submitted:
        """Stream files in and submit them, as the web does."""
        with self.storage.receive() as incoming:
            received = [incoming.add(name, [content]) for name, content in files]
            return submit_files(
                received,
                spec or JobSpec(),
                database=self.database,
                storage=self.storage,
                queue=changed.get("queue", self.queue),
                settings=changed.get("settings", self.settings),
                idempotency_key=key,
            )

    def submit_folder(self, root: str, path: str, *, key: str | None = None) -> Submitted:
        """Submit a folder of the server."""
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
        """Every file in the storage."""
        return sorted(path for path in self.storage.folder.rglob("*") if path.is_file())

    def jobs(self) -> list[str]:
        """Every job in the database."""
        with self.database.read() as session:
            return list(session.scalars(select(JobRow.id)))


@pytest.fixture
def desk(database: Database, storage: LocalStorage, queue: CeleryQueue, settings: Settings) -> Desk:
    return Desk(database, storage, queue, settings)


@pytest.fixture
def films(desk: Desk, tmp_path: Path) -> Path:
    """A root of that name with some files."""
    folder = tmp_path / "films"
    (folder / "day" / "sub").mkdir(parents=True)
    (folder / "day" / "a.png").write_bytes(PNG)
    (folder / "day" / "sub" / "b.gif").write_bytes(GIF)
    desk.settings = desk.settings.model_copy(update={"roots": {"films": folder}})
    return folder


def test_files_become_a_job_that_workers_are_told_of(desk: Desk) -> None:
    submitted = desk.submit(
        [("a.png", PNG), ("trip/a.png", GIF)], JobSpec(label="Trip", expression=False)
    )

    job = get_job(desk.database, submitted.job_id)
    assert not submitted.replayed
    assert (job.status, job.label, job.options.expression) == ("queued", "Trip", False)
    items = list_items(desk.database, job.id).items
    assert [(item.name, item.bytes, item.kind) for item in items] == [
        ("a.png", len(PNG), "image"),
        ("trip/a.png", len(GIF), "image"),
    ]
    assert [path.read_bytes() for path in desk.stored_files()] == [PNG, GIF]
    assert desk.queue.depth() == 2


def test_the_same_name_twice_is_two_items(desk: Desk) -> None:
    submitted = desk.submit([("a.png", PNG), ("a.png", GIF)])
    assert len(list_items(desk.database, submitted.job_id).items) == 2


def test_a_refused_file_is_an_item_that_failed(desk: Desk) -> None:
    submitted = desk.submit([("a.png", PNG), ("list.mp4", PLAYLIST), ("empty.png", b"")])

    items = list_items(desk.database, submitted.job_id).items
    assert [item.status for item in items] == [
        ItemStatus.QUEUED,
        ItemStatus.FAILED,
        ItemStatus.FAILED,
    ]
    assert [item.error and item.error.code for item in items] == [None, "text", "empty-file"]
    assert len(desk.stored_files()) == 1, "what is refused is not kept"
    assert desk.queue.depth() == 1


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
def test_what_can_t_become_a_job_leaves_nothing(
    desk: Desk, files: list[tuple[str, bytes]], error: type[Exception]
) -> None:
    with pytest.raises(error):
        desk.submit(files)

    assert desk.jobs() == []
    assert desk.stored_files() == []
    assert desk.queue.depth() == 0


def test_more_files_than_allowed_are_refused(desk: Desk) -> None:
    few = desk.settings.model_copy(update={"max_files": 2})
    with pytest.raises(UploadTooLargeError):
        desk.submit([("a.png", PNG)] * 3, settings=few)
    assert desk.jobs() == []


def test_a_full_disk_refuses_and_leaves_nothing(desk: Desk) -> None:
    full = LocalStorage(desk.storage.folder, min_free_bytes=2**62)
    with desk.storage.receive() as incoming:
        file = incoming.add("a.png", [PNG])
        with pytest.raises(StorageFullError):
            submit_files(
                [file],
                JobSpec(),
                database=desk.database,
                storage=full,
                queue=desk.queue,
                settings=desk.settings,
            )
    assert desk.jobs() == []
    assert desk.stored_files() == []


def test_a_file_that_vanished_leaves_no_job(desk: Desk) -> None:
    with desk.storage.receive() as incoming:
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
                database=desk.database,
                storage=Vanishing(desk.storage.folder),
                queue=desk.queue,
                settings=desk.settings,
            )
    assert desk.jobs() == []
    assert desk.stored_files() == []


def test_a_silent_broker_does_not_lose_the_job(desk: Desk) -> None:
    nowhere = desk.settings.model_copy(update={"broker_url": "redis://127.0.0.1:1/0"})
    with open_queue(nowhere) as silent:
        submitted = desk.submit([("a.png", PNG)], queue=silent)

    assert desk.jobs() == [submitted.job_id]
    with desk.database.read() as session:
        assert session.scalars(select(SegmentRow.last_rung_at)).all() == [None]


def test_a_repeated_key_returns_the_first_job(desk: Desk) -> None:
    first = desk.submit([("a.png", PNG)], key="k1")
    again = desk.submit([("a.png", PNG)], key="k1")
    other = desk.submit([("a.png", PNG)], key="k2")

    assert again == Submitted(first.job_id, replayed=True)
    assert other.job_id != first.job_id
    assert len(desk.stored_files()) == 2
    assert desk.queue.depth() == 2


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
    desk: Desk, files: list[tuple[str, bytes]], spec: JobSpec
) -> None:
    desk.submit([("a.png", PNG)], key="k")
    with pytest.raises(IdempotencyConflictError):
        desk.submit(files, spec, key="k")
    assert len(desk.jobs()) == 1
    assert len(desk.stored_files()) == 1


def test_many_posts_with_one_key_at_once_make_one_job(desk: Desk) -> None:
    barrier = threading.Barrier(6)
    outcomes: list[Submitted] = []

    def post() -> None:
        barrier.wait()
        outcomes.append(desk.submit([("a.png", PNG)], key="one"))

    threads = [threading.Thread(target=post) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(outcomes) == 6
    assert {outcome.job_id for outcome in outcomes} == set(desk.jobs())
    assert sorted(outcome.replayed for outcome in outcomes) == [False] + [True] * 5
    assert len(desk.stored_files()) == 1


def test_a_key_is_free_again_when_its_job_is_deleted(desk: Desk) -> None:
    first = desk.submit([("a.png", PNG)], key="k")
    delete_job(first.job_id, database=desk.database, storage=desk.storage)

    assert not desk.submit([("a.png", GIF)], key="k").replayed


@pytest.mark.parametrize("key", ["", "x" * 256, "a\nb", "\0"])
def test_keys_that_can_t_be_used_are_refused(desk: Desk, key: str) -> None:
    with pytest.raises(OptionsError, match="Idempotency-Key"):
        desk.submit([("a.png", PNG)], key=key)


# Folders of the server


def test_a_folder_is_read_where_it_lies(desk: Desk, films: Path) -> None:
    submitted = desk.submit_folder("films", "day")

    items = list_items(desk.database, submitted.job_id).items
    assert [item.name for item in items] == ["a.png", "sub/b.gif"]
    assert desk.stored_files() == []
    assert (films / "day" / "a.png").read_bytes() == PNG


def test_links_and_pipes_in_a_folder_become_items_that_failed(desk: Desk, films: Path) -> None:
    (films / "day" / "link.png").symlink_to("/etc/passwd")
    (films / "day" / b"caf\xe9.png".decode("utf-8", "surrogateescape")).write_bytes(PNG)

    submitted = desk.submit_folder("films", "day")

    items = {item.name: item for item in list_items(desk.database, submitted.job_id).items}
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
def test_folders_that_can_t_be_used_are_refused(
    desk: Desk, films: Path, root: str, path: str
) -> None:
    (films / "empty").mkdir()
    with pytest.raises(FolderError) as caught:
        desk.submit_folder(root, path)
    assert str(films) not in str(caught.value)
    assert desk.jobs() == []


@pytest.mark.usefixtures("films")
def test_a_folder_with_too_many_files_is_refused(desk: Desk) -> None:
    desk.settings = desk.settings.model_copy(update={"max_files": 1})
    with pytest.raises(UploadTooLargeError):
        desk.submit_folder("films", "day")


def test_a_repeated_key_of_a_folder(desk: Desk, films: Path) -> None:
    first = desk.submit_folder("films", "day", key="k")
    (films / "day" / "new.png").write_bytes(PNG)

    assert desk.submit_folder("films", "day", key="k") == Submitted(first.job_id, replayed=True)
    with pytest.raises(IdempotencyConflictError):
        desk.submit_folder("films", "day/sub", key="k")
    assert len(list_jobs(desk.database).jobs) == 1


# Names


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("a.mp4", "a.mp4"),
        ("sub/a.mp4", "sub/a.mp4"),
        ("C:\\films\\a.mp4", "C:/films/a.mp4"),
        ("../../etc/passwd", "etc/passwd"),
        ("/etc/passwd", "etc/passwd"),
        ("a\0b\n\x1b[2J.mp4", "a_b__[2J.mp4"),
        ("gpj.\u202e4pm.exe", "gpj._4pm.exe"),
        ("", "unnamed"),
        ("../..", "unnamed"),
        ("é 日本 👍.mp4", "é 日本 👍.mp4"),
        ("می\u200cروم.mp4", "می\u200cروم.mp4"),
        ("👨\u200d👩\u200d👧.jpg", "👨\u200d👩\u200d👧.jpg"),
        ("\u200da\u200d/\u200c\u200cb \u200d", "_a_/__b _"),
    ],
)
def test_names_are_made_harmless_to_look_at(given: str, shown: str) -> None:
    assert normalise_name(given) == shown


@given(st.text(st.characters(codec=None), max_size=3000))
def test_every_name_is_relative_short_and_storable(text: str) -> None:
    name = normalise_name(text)
    assert name
    assert len(name) <= MAX_NAME_CHARACTERS
    assert not name.startswith("/")
    assert ".." not in name.split("/")
    seen = name.replace("\u200c", "").replace("\u200d", "")  # joiners join what is seen
    assert seen.isprintable() or " " in seen or any(letter.isspace() for letter in seen)
    assert normalise_name(name) == name or name.startswith("…")
    name.encode("utf-8")

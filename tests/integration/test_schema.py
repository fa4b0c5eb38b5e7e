"""Migrations and opening: models and migrations agree, and a wrong schema is told clearly."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import insert, inspect, text
from sqlalchemy.exc import IntegrityError

from faces_jobs.db import migrate
from faces_jobs.db.engine import make_engine
from faces_jobs.db.revision import newest_revision
from faces_jobs.db.segment_endings import finish_segment
from faces_jobs.db.session import Database, open_database
from faces_jobs.db.tables import Base, JobRow
from faces_jobs.errors import DatabaseError, SettingsError
from faces_jobs.results import get_job, list_items, list_jobs, pause_job
from tests.factories import MODELS, claimed, results, stored_job
from tests.services import PATIENCE_SECONDS


def test_models_and_migrations_agree(database_url: str) -> None:
    migrate.check(database_url)


def test_upgrading_again_loses_nothing(database_url: str) -> None:
    with open_database(database_url) as database:
        job = stored_job(database)
    migrate.upgrade(database_url)

    with open_database(database_url) as database:
        assert [found.id for found in list_jobs(database).jobs] == [job.id]
    assert migrate.current(database_url) == newest_revision()


def test_two_that_upgrade_at_once_wait_for_one_another(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new.db'}"
    command = "import sys; from faces_jobs.db.migrate import upgrade; upgrade(sys.argv[1])"
    both = [subprocess.Popen([sys.executable, "-c", command, url]) for _ in range(3)]
    assert [process.wait(PATIENCE_SECONDS) for process in both] == [0, 0, 0]
    migrate.check(url)


def test_going_back_to_nothing_and_up_again(database_url: str) -> None:
    migrate.downgrade(database_url, "base")
    assert migrate.current(database_url) is None
    engine = make_engine(database_url)
    assert inspect(engine).get_table_names() == ["alembic_version"]
    engine.dispose()

    migrate.upgrade(database_url)

    migrate.check(database_url)


def test_a_server_without_a_locale_keeps_every_name(unencoded_database_url: str) -> None:
    migrate.upgrade(unencoded_database_url)
    with open_database(unencoded_database_url) as database:
        job = stored_job(database, ["Gesichter von früher, 顔.mp4"])
        assert [item.name for item in list_items(database, job.id).items] == [
            "Gesichter von früher, 顔.mp4"
        ]


def test_a_table_that_is_altered_keeps_its_rows_and_theirs(database_url: str) -> None:
    with open_database(database_url) as database:
        job = stored_job(database, ["a.mp4", "b.mp4"])
        pause_job(database, job.id)
    migrate.downgrade(database_url, "0001")
    migrate.upgrade(database_url)

    with open_database(database_url) as database:
        assert [item.id for item in list_items(database, job.id).items] == list(job.items)
        assert get_job(database, job.id).status == "running"


def test_models_from_before_there_were_thresholds_have_none(database_url: str) -> None:
    with open_database(database_url) as database:
        job = stored_job(database)
        model = replace(MODELS[0], unsure_below={"gender": 0.7})
        finish_segment(
            database, claimed(database, job.segments[0]), replace(results(), models=[model])
        )
        assert get_job(database, job.id).models[0].unsure_below == {"gender": 0.7}
    migrate.downgrade(database_url, "0007")
    migrate.upgrade(database_url)

    with open_database(database_url) as database:
        (kept,) = get_job(database, job.id).models
    assert (kept.name, kept.version, kept.unsure_below) == ("gender", "1", {})


def test_every_index_has_a_name_of_ours(database: Database) -> None:
    for name in Base.metadata.tables:
        for index in inspect(database.engine).get_indexes(name):
            assert str(index["name"]).startswith(("ix_", "uq_"))


def test_an_empty_database_is_told_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="run `faces-jobs db upgrade`"):
        open_database(f"sqlite:///{tmp_path / 'none.db'}")
    assert list(tmp_path.iterdir()) == []

    (tmp_path / "empty.db").touch()
    with pytest.raises(DatabaseError, match="is empty: run `faces-jobs db upgrade`"):
        open_database(f"sqlite:///{tmp_path / 'empty.db'}")


def test_a_newer_schema_is_refused_by_both(database_url: str) -> None:
    engine = make_engine(database_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()

    with pytest.raises(DatabaseError, match="9999"):
        open_database(database_url)
    with pytest.raises(DatabaseError, match="newer"):
        migrate.upgrade(database_url)


@pytest.mark.parametrize(
    "url",
    ["", "no url", "mysql://host/db", "sqlite://", "sqlite:///:memory:"],
)
def test_urls_that_can_t_be_used_are_told(url: str) -> None:
    with pytest.raises(SettingsError):
        open_database(url)


def test_a_server_that_does_not_answer_is_told() -> None:
    with pytest.raises(DatabaseError, match="does not answer"):
        open_database("postgresql+psycopg://nobody@127.0.0.1:1/nothing")


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"this is a text file, not a database" * 100)
    with pytest.raises(DatabaseError):
        open_database(f"sqlite:///{tmp_path / 'x.db'}")


def test_a_read_only_server_is_reported(postgres_database_url: str) -> None:
    url = f"{postgres_database_url}&options=-c default_transaction_read_only=on"
    with open_database(url) as database, pytest.raises(DatabaseError, match="is read-only"):
        stored_job(database)


def test_an_unknown_state_can_t_be_stored(database: Database) -> None:
    stored_job(database)
    with pytest.raises(IntegrityError), database.begin() as session:
        session.execute(text("UPDATE jobs SET status = 'resting'"))


def test_a_reader_sees_one_state_and_can_t_write(database: Database) -> None:
    job = stored_job(database)
    with database.read() as session:
        before = session.execute(text("SELECT status FROM segments")).scalar_one()
        claimed(database, job.segments[0])
        assert session.execute(text("SELECT status FROM segments")).scalar_one() == before
    with database.read() as session:
        session.execute(text("SELECT 1"))
    assert list_jobs(database).jobs[0].status == "running"


def test_a_failed_transaction_leaves_nothing(database: Database) -> None:
    def breaking() -> None:
        with database.begin() as session:
            session.execute(
                insert(JobRow).values(
                    id="x", status="queued", label="", options={}, created_at=0.0, attempts=0
                )
            )
            raise KeyError

    with pytest.raises(KeyError):
        breaking()
    assert list_jobs(database).jobs == []


def test_numbers_are_never_used_twice(database: Database) -> None:
    job = stored_job(database)
    with database.begin() as session:
        session.execute(text("DELETE FROM jobs"))
    assert stored_job(database).items[0] > job.items[0]

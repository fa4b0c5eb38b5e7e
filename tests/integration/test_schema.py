"""Migrations and opening a database: tables match migrations, and errors say what to do."""

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
from faces_jobs.db.segments.endings import finish_segment
from faces_jobs.db.session import Database, open_database
from faces_jobs.db.tables import Base, JobRow
from faces_jobs.errors import DatabaseError, SettingsError
from faces_jobs.results import get_job, list_items, list_jobs, pause_job
from tests.factories import MODELS, new_claim, results, stored_job
from tests.services import TIMEOUT_SECONDS


def test_tables_and_migrations_agree(database_url: str) -> None:
    migrate.check(database_url)


def test_upgrading_again_loses_nothing(database_url: str) -> None:
    with open_database(database_url) as database:
        job = stored_job(database)
    migrate.upgrade(database_url)

    with open_database(database_url) as database:
        assert [found.id for found in list_jobs(database).jobs] == [job.id]
    assert migrate.current(database_url) == newest_revision()


def test_concurrent_upgrades_wait_for_each_other(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new.db'}"
    command = "import sys; from faces_jobs.db.migrate import upgrade; upgrade(sys.argv[1])"
    processes = [subprocess.Popen([sys.executable, "-c", command, url]) for _ in range(3)]
    assert [process.wait(TIMEOUT_SECONDS) for process in processes] == [0, 0, 0]
    migrate.check(url)


def test_downgrading_to_base_and_upgrading_again_restores_the_schema(database_url: str) -> None:
    migrate.downgrade(database_url, "base")
    assert migrate.current(database_url) is None
    engine = make_engine(database_url)
    assert inspect(engine).get_table_names() == ["alembic_version"]
    engine.dispose()

    migrate.upgrade(database_url)

    migrate.check(database_url)


def test_a_server_without_a_locale_stores_any_name(unencoded_database_url: str) -> None:
    migrate.upgrade(unencoded_database_url)
    with open_database(unencoded_database_url) as database:
        job = stored_job(database, ["Gesichter von früher, 顔.mp4"])
        assert [item.name for item in list_items(database, job.id).items] == [
            "Gesichter von früher, 顔.mp4"
        ]


def test_migrations_keep_rows_and_the_rows_that_refer_to_them(database_url: str) -> None:
    with open_database(database_url) as database:
        job = stored_job(database, ["a.mp4", "b.mp4"])
        pause_job(database, job.id)
    migrate.downgrade(database_url, "0001")
    migrate.upgrade(database_url)

    with open_database(database_url) as database:
        assert [item.id for item in list_items(database, job.id).items] == list(job.items)
        assert get_job(database, job.id).status == "running"


def test_models_stored_before_thresholds_existed_have_none(database_url: str) -> None:
    with open_database(database_url) as database:
        job = stored_job(database)
        model = replace(MODELS[0], unsure_below={"gender": 0.7})
        finish_segment(
            database, new_claim(database, job.segments[0]), replace(results(), models=[model])
        )
        assert get_job(database, job.id).models[0].unsure_below == {"gender": 0.7}
    migrate.downgrade(database_url, "0007")
    migrate.upgrade(database_url)

    with open_database(database_url) as database:
        (kept,) = get_job(database, job.id).models
    assert (kept.name, kept.version, kept.unsure_below) == ("gender", "1", {})


def test_every_index_is_named_by_convention(database: Database) -> None:
    for name in Base.metadata.tables:
        for index in inspect(database.engine).get_indexes(name):
            assert str(index["name"]).startswith(("ix_", "uq_"))


def test_the_error_for_an_empty_database_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="run `faces-jobs db upgrade`"):
        open_database(f"sqlite:///{tmp_path / 'none.db'}")
    assert list(tmp_path.iterdir()) == []

    (tmp_path / "empty.db").touch()
    with pytest.raises(DatabaseError, match="is empty: run `faces-jobs db upgrade`"):
        open_database(f"sqlite:///{tmp_path / 'empty.db'}")


def test_a_newer_schema_is_refused(database_url: str) -> None:
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
def test_unsupported_urls_are_refused(url: str) -> None:
    with pytest.raises(SettingsError):
        open_database(url)


def test_an_unreachable_server_is_reported() -> None:
    with pytest.raises(DatabaseError, match="does not answer"):
        open_database("postgresql+psycopg://nobody@127.0.0.1:1/nothing")


def test_a_file_that_is_no_database_is_reported(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"this is a text file, not a database" * 100)
    with pytest.raises(DatabaseError):
        open_database(f"sqlite:///{tmp_path / 'x.db'}")


def test_a_read_only_server_is_reported(postgres_database_url: str) -> None:
    url = f"{postgres_database_url}&options=-c default_transaction_read_only=on"
    with open_database(url) as database, pytest.raises(DatabaseError, match="is read-only: it"):
        database.check_writable()
    with open_database(url) as database, pytest.raises(DatabaseError, match="is read-only or"):
        stored_job(database)


def test_an_unknown_state_cannot_be_stored(database: Database) -> None:
    stored_job(database)
    with pytest.raises(IntegrityError), database.begin() as session:
        session.execute(text("UPDATE jobs SET status = 'resting'"))


def test_a_read_session_sees_one_snapshot(database: Database) -> None:
    job = stored_job(database)
    with database.read() as session:
        before = session.execute(text("SELECT status FROM segments")).scalar_one()
        new_claim(database, job.segments[0])
        assert session.execute(text("SELECT status FROM segments")).scalar_one() == before
    with database.read() as session:
        session.execute(text("SELECT 1"))
    assert list_jobs(database).jobs[0].status == "running"


def test_a_failed_transaction_is_rolled_back(database: Database) -> None:
    def fail() -> None:
        with database.begin() as session:
            session.execute(
                insert(JobRow).values(
                    id="x", status="queued", label="", options={}, created_at=0.0, attempts=0
                )
            )
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert list_jobs(database).jobs == []


def test_ids_are_never_reused(database: Database) -> None:
    job = stored_job(database)
    with database.begin() as session:
        session.execute(text("DELETE FROM jobs"))
    assert stored_job(database).items[0] > job.items[0]

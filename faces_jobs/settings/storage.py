"""Settings of what is kept: files, rows and messages; where, and for how long."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, Field, SecretStr, field_validator, model_validator

DATABASE_NAME = "faces_jobs.db"


class StorageSettings(BaseModel):
    """The data folder or a bucket, the database and the broker."""

    data_folder: Path = Field(
        default=Path("var"),
        description="Where uploads, artifacts, and the embedded database and broker live; "
        "with a bucket, only what is being made or read.",
    )
    storage: str = Field(
        default="",
        description="Where uploads and results are kept: `local` (the data folder), or "
        "`s3://bucket/prefix` (any S3-compatible bucket; needs the extra `s3`). "
        "Empty: `local`.",
    )
    s3_endpoint: str = Field(
        default="", description="URL of the bucket's server. Empty: Amazon's server for the region."
    )
    s3_region: str = Field(
        default="", description="The bucket's region. Empty: `us-east-1`, which most servers take."
    )
    s3_access_key_id: str = Field(
        default="",
        description="Key to the bucket. Empty: the machine's own, as Amazon's tools find it.",
    )
    s3_secret_access_key: SecretStr | None = Field(
        default=None, description="The secret that belongs to that key."
    )
    s3_addressing: Literal["auto", "path", "virtual"] = Field(
        default="auto",
        description="Whether the bucket's name is in the path or in the host name. `auto`: "
        "`path` if an endpoint is set, else `virtual`.",
    )
    s3_allow_http: bool = Field(
        default=False,
        description="Whether the endpoint may be `http://`, where everything is readable on "
        "the way.",
    )
    cache_bytes: int = Field(
        default=8 * 1024**3,
        ge=0,
        description="Most bytes of submitted files that a machine keeps as copies from the "
        "bucket, until minutes after their last use.",
    )
    database_url: str = Field(
        default="",
        description="SQLAlchemy URL: `sqlite:///...` or `postgresql+psycopg://...`. "
        "Empty: SQLite in the data folder.",
    )
    broker_url: str = Field(
        default="",
        description="Celery broker URL: `redis://...`. Empty: a folder in the data folder.",
    )
    keep_days: float | None = Field(
        default=None,
        gt=0,
        le=36_500,
        description="Delete a job this many days after it ends, unless the job sets its own "
        "`keep_days`. Empty: kept until somebody deletes it.",
    )

    @field_validator("storage")
    @classmethod
    def _storage_is_readable(cls, said: str) -> str:
        _bucket(said)
        return said

    @field_validator("s3_endpoint")
    @classmethod
    def _endpoint_is_a_url(cls, said: str) -> str:
        if said and not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", said):
            raise ValueError("must be like https://storage.example:9000")
        return said.rstrip("/")

    @model_validator(mode="after")
    def _bucket_can_be_reached_safely(self) -> Self:
        if bool(self.s3_access_key_id) != (self.s3_secret_access_key is not None):
            raise ValueError(
                "FACES_JOBS_S3_ACCESS_KEY_ID and FACES_JOBS_S3_SECRET_ACCESS_KEY go together: "
                "set both"
            )
        if self.s3_endpoint.startswith("http://") and not self.s3_allow_http:
            raise ValueError(
                "FACES_JOBS_S3_ENDPOINT sends everything in the clear: use https://, or say "
                "FACES_JOBS_S3_ALLOW_HTTP=true"
            )
        return self

    @property
    def bucket(self) -> tuple[str, str] | None:
        """Name of the bucket, and what keys in it begin with (empty, or with a slash at the end).

        None: files are kept in the data folder.
        """
        return _bucket(self.storage)

    @property
    def run_sizes_folder(self) -> Path:
        """Keeps how many frames and crops a run were measured to be best."""
        return self.data_folder / "run-sizes"

    @property
    def database(self) -> str:
        """The database URL in force."""
        if self.database_url:
            return self.database_url
        return f"sqlite:///{self.data_folder.resolve() / DATABASE_NAME}"


def _bucket(said: str) -> tuple[str, str] | None:
    if said in ("", "local"):
        return None
    found = re.fullmatch(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])((?:/[\w!.*'()-]+)*)/?", said)
    if found is None or {".", ".."} & set(said.split("/")):
        raise ValueError(f"{said!r} is neither `local` nor like s3://bucket/prefix")
    name, prefix = found.groups()
    return name, f"{prefix[1:]}/" if prefix else ""

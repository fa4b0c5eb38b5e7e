"""Settings of storage: where files, rows and messages are kept, and for how long."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, Self
from urllib.parse import parse_qs, urlsplit

from pydantic import BaseModel, Field, SecretStr, field_validator, model_validator

# Files of the data folder.
DATABASE_NAME = "faces_jobs.db"
WEB_KEY_NAME = "web_secret_key"


class StorageSettings(BaseModel):
    """The data folder or bucket, the database, the broker, and the retention time."""

    data_folder: Path = Field(
        default=Path("var"),
        description="Where uploads, artifacts, and the embedded database and broker live; "
        "with a bucket, uploads and artifacts are there only while in use.",
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
        default="",
        description="The bucket's region. Empty: `us-east-1`, which most servers accept.",
    )
    s3_access_key_id: str = Field(
        default="",
        description="Access key of the bucket. Empty: the machine's credentials, as Amazon's tools "
        "find them.",
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
        description="Whether the endpoint may be `http://`, which sends everything unencrypted.",
    )
    cache_bytes: int = Field(
        default=8 * 1024**3,
        ge=0,
        description="Maximum bytes of submitted files that a machine caches from the bucket; they "
        "are deleted minutes after their last use.",
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
    def _check_storage(cls, value: str) -> str:
        _parse_bucket(value)
        return value

    @field_validator("s3_endpoint")
    @classmethod
    def _check_endpoint(cls, value: str) -> str:
        if value and not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", value):
            raise ValueError("must be a URL such as https://storage.example:9000")
        return value.rstrip("/")

    @field_validator("broker_url")
    @classmethod
    def _check_broker_url(cls, value: str) -> str:
        if value:
            _check_broker(value)
        return value

    @model_validator(mode="after")
    def _check_bucket_access(self) -> Self:
        if bool(self.s3_access_key_id) != (self.s3_secret_access_key is not None):
            raise ValueError(
                "FACES_JOBS_S3_ACCESS_KEY_ID and FACES_JOBS_S3_SECRET_ACCESS_KEY go together: "
                "set both"
            )
        if self.s3_endpoint.startswith("http://") and not self.s3_allow_http:
            raise ValueError(
                "FACES_JOBS_S3_ENDPOINT would send everything unencrypted: use https://, or set "
                "FACES_JOBS_S3_ALLOW_HTTP=true"
            )
        return self

    @property
    def bucket(self) -> tuple[str, str] | None:
        """Name of the bucket and prefix of its keys (empty, or with a trailing slash).

        None: files are kept in the data folder.
        """
        return _parse_bucket(self.storage)

    @property
    def run_sizes_folder(self) -> Path:
        """Folder for the run sizes that were measured to be fastest."""
        return self.data_folder / "run-sizes"

    @property
    def database(self) -> str:
        """The database URL in use."""
        if self.database_url:
            return self.database_url
        return f"sqlite:///{self.data_folder.resolve() / DATABASE_NAME}"


def _check_broker(url: str) -> None:
    # The messages don't quote the URL, since it may contain a password.
    try:
        parts = urlsplit(url)
        has_valid_host = parts.port != 0
    except ValueError:  # of a port that is no number, for example
        has_valid_host = False
    if has_valid_host and parts.scheme not in ("redis", "rediss"):
        raise ValueError(
            f"the scheme {parts.scheme!r} is not supported: use redis://... or rediss://..., or "
            "leave it empty for a queue in the data folder"
        )
    if not has_valid_host or not re.fullmatch(r"/?\d*", parts.path):
        raise ValueError(
            "must be a URL such as redis://:password@queue.example:6379/0, in which special "
            "characters of the password are written as %xx"
        )
    for value in parse_qs(parts.query).get("ssl_cert_reqs", ()):
        if not re.fullmatch("required|optional|none|CERT_(REQUIRED|OPTIONAL|NONE)", value):
            raise ValueError("ssl_cert_reqs must be required, optional or none")


def _parse_bucket(value: str) -> tuple[str, str] | None:
    if value in ("", "local"):
        return None
    found = re.fullmatch(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])((?:/[\w!.*'()-]+)*)/?", value)
    if found is None or {".", ".."} & set(value.split("/")):
        raise ValueError(f"{value!r} is neither `local` nor a URL such as s3://bucket/prefix")
    name, prefix = found.groups()
    return name, f"{prefix[1:]}/" if prefix else ""

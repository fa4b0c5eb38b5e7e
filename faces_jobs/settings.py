"""Every setting, read once from the environment (`FACES_JOBS_*`), typed and frozen."""

from __future__ import annotations

import base64
import ipaddress
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from faces_jobs.errors import SettingsError
from faces_jobs.jobs.unsure import parse_unsure_below

ENVIRONMENT_PREFIX = "FACES_JOBS_"
MIN_TOKEN_CHARACTERS = 16

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
DetectorName = Literal["own", "centerface", "yunet"]
EncoderName = Literal["auto", "libx264", "h264_nvenc", "h264_qsv", "h264_videotoolbox", "h264_amf"]
DEFAULT_DETECTOR: DetectorName = "centerface"


class Settings(BaseModel):
    """The settings of every role. Make one with `Settings.from_environment()` and pass it down."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data_folder: Path = Field(
        default=Path("var"),
        description="Uploads, artifacts, and the embedded database and broker live here; "
        "with a bucket only what is being made or read.",
    )
    storage: str = Field(
        default="",
        description="Where uploads and results are kept: `local` (the data folder), or "
        "`s3://bucket/prefix` (any S3-compatible bucket; extra `s3`). Empty: `local`.",
    )
    s3_endpoint: str = Field(
        default="", description="URL of the bucket's server. Empty: Amazon's of the region."
    )
    s3_region: str = Field(
        default="", description="The bucket's region. Empty: `us-east-1`, which most servers take."
    )
    s3_access_key_id: str = Field(
        default="",
        description="Key to the bucket. Empty: that of the machine, as Amazon's tools find it.",
    )
    s3_secret_access_key: SecretStr | None = Field(
        default=None, description="The secret that belongs to that key."
    )
    s3_addressing: Literal["auto", "path", "virtual"] = Field(
        default="auto",
        description="Whether the bucket's name stands in the path or in the host name. "
        "`auto`: `path` where an endpoint is set, else `virtual`.",
    )
    s3_allow_http: bool = Field(
        default=False, description="Whether the endpoint may be `http://`, where all can read."
    )
    cache_bytes: int = Field(
        default=8 * 1024**3,
        ge=0,
        description="Most bytes of submitted files that a machine keeps from the bucket, for "
        "minutes, while its workers are at them.",
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
    host: str = Field(
        default="127.0.0.1",
        description="Address the web server binds to. Other than loopback only with a token.",
    )
    port: int = Field(default=8000, ge=0, le=65535, description="Port of the web server.")
    web_threads: int = Field(
        default=8, ge=1, le=256, description="Requests that the web server answers at once."
    )
    web_waiters: int = Field(
        default=64,
        ge=0,
        le=512,
        description="Requests beside those that may wait for a job to change (events, `wait`).",
    )
    access_token: SecretStr | None = Field(
        default=None,
        description="Bearer token of the API and password of the pages. At least 16 characters.",
    )
    server_url: str = Field(
        default="",
        description="Where the commands that talk to a server find it. "
        "Empty: `http://127.0.0.1:<port>`.",
    )
    roots: dict[str, Path] = Field(
        default_factory=dict,
        description="Server folders that may be submitted by name, as JSON: "
        '`{"films": "/srv/films"}`. None by default.',
    )
    max_upload_bytes: int = Field(
        default=4 * 1024**3, ge=1, description="Largest submission, all files together (else 413)."
    )
    max_files: int = Field(
        default=10_000, ge=1, description="Most files in one submission (else 413)."
    )
    max_pixels: int = Field(
        default=100_000_000,
        ge=1,
        description="Most pixels (width x height) of a frame; larger ones are refused unread.",
    )
    min_free_bytes: int = Field(
        default=200 * 1024**2,
        ge=0,
        description="Room that must stay free in the data folder; below it nothing is accepted.",
    )
    max_queued_jobs: int = Field(
        default=10_000,
        ge=0,
        description="Most jobs that wait or run; more are refused (429). 0: no limit.",
    )
    max_queued_items: int = Field(
        default=1_000_000, ge=0, description="Most files in those jobs, likewise."
    )
    max_queued_bytes: int = Field(
        default=0, ge=0, description="Most bytes of those files, likewise."
    )
    max_owner_jobs: int = Field(
        default=0,
        ge=0,
        description="Most jobs of one owner that wait or run; more are refused (429). 0: no limit.",
    )
    max_owner_items: int = Field(
        default=0, ge=0, description="Most files in the jobs of one owner, likewise."
    )
    max_owner_bytes: int = Field(
        default=0, ge=0, description="Most bytes of the files of one owner, likewise."
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="Where networks run. `auto`: CUDA where it is there."
    )
    detector: DetectorName = Field(
        default=DEFAULT_DETECTOR,
        description="Finds the faces: `own` is ours and quickest, `centerface` finds most, "
        "`yunet` the official weights that `faces-jobs models fetch yunet` brings.",
    )
    models_folder: Path | None = Field(
        default=None,
        description="A folder with weights to use in place of the ones that ship.",
    )
    unsure_below: str = Field(
        default="",
        description="Answers that are less probable are `unsure`: `0.5` for all, `0` or `off` "
        "for never, or by model or head: `gender=0.7,multiple=0.5,age=0.4`. "
        "Empty: each model's own.",
    )
    batch_size: int = Field(
        default=8,
        ge=1,
        le=256,
        description="Frames that go through the stages together; fewer where they are large.",
    )
    lanes: int | None = Field(
        default=None,
        ge=1,
        le=64,
        description="Batches that a process looks at at once, each in a thread. Empty: for "
        "`run` as many as cores, for a worker the cores divided by `FACES_JOBS_WORKERS`.",
    )
    encoder: EncoderName = Field(
        default="libx264",
        description="Encodes annotated videos: `libx264`, or by its name in FFmpeg a GPU's. "
        "`auto`: a GPU's where one works. Parts of a video that was cut are always `libx264`'s.",
    )
    segment_seconds: float = Field(
        default=10.0,
        gt=0,
        description="Videos are cut at key frames into segments of about this length, so that "
        "several workers share one.",
    )
    workers: int = Field(
        default=1, ge=1, le=64, description="Worker processes that `faces-jobs up` starts."
    )
    lease_seconds: float = Field(
        default=30.0, gt=0, description="How long a claim holds without being renewed."
    )
    heartbeat_seconds: float = Field(
        default=2.0,
        gt=0,
        description="How often a worker renews its claim, reports progress and sees a cancel.",
    )
    sweep_seconds: float = Field(
        default=10.0, gt=0, description="How often the sweep looks for work that waits too long."
    )
    reconcile_seconds: float = Field(
        default=60.0,
        gt=0,
        description="How often rows, broker and storage are compared and mended.",
    )
    ring_again_seconds: float = Field(
        default=30.0, gt=0, description="Work that waited this long is rung for again."
    )
    max_attempts: int = Field(
        default=3, ge=1, le=100, description="Attempts at a segment before its item fails."
    )
    retry_seconds: float = Field(
        default=2.0,
        ge=0,
        description="Pause after a failed attempt, give or take a half; it doubles with each.",
    )
    retry_max_seconds: float = Field(
        default=300.0, ge=0, description="The longest such pause, and between looks for space."
    )
    presence_seconds: float = Field(
        default=5.0,
        gt=0,
        description="How often a process tells that it lives. Silent four times as long, it counts "
        "as gone.",
    )
    keep_days: float | None = Field(
        default=None,
        gt=0,
        le=36_500,
        description="Days after its end at which a job is deleted that does not say otherwise. "
        "Empty: kept until somebody deletes it.",
    )
    webhook_secret: SecretStr | None = Field(
        default=None,
        description="Signs webhooks: `whsec_` and the base64 of 24 to 64 random bytes. "
        "Without it no job may name a webhook.",
    )
    webhook_networks: str = Field(
        default="",
        description="Networks, comma separated, that webhooks may reach though they are not "
        "public: `10.1.0.0/16,127.0.0.1`. None by default.",
    )
    webhook_ports: str = Field(
        default="80,443",
        description="Ports, comma separated, that webhooks may use; `*`: any.",
    )
    webhook_seconds: float = Field(
        default=10.0, gt=0, le=60, description="Time in which a webhook's receiver must answer."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least severe log line that is written."
    )
    log_format: Literal["text", "json"] = Field(
        default="text", description="Log lines for people, or one JSON object each for machines."
    )

    @field_validator("access_token")
    @classmethod
    def _token_is_long_enough(cls, token: SecretStr | None) -> SecretStr | None:
        if token is not None and len(token.get_secret_value()) < MIN_TOKEN_CHARACTERS:
            raise ValueError(
                f"must have at least {MIN_TOKEN_CHARACTERS} characters; "
                "make one with: python -c 'import secrets; print(secrets.token_urlsafe())'"
            )
        return token

    @field_validator("webhook_secret")
    @classmethod
    def _secret_is_a_key(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None:
            _signing_key(secret)
        return secret

    @field_validator("webhook_networks")
    @classmethod
    def _networks_are_networks(cls, text: str) -> str:
        _networks(text)
        return text

    @field_validator("webhook_ports")
    @classmethod
    def _ports_are_ports(cls, text: str) -> str:
        _ports(text)
        return text

    @field_validator("unsure_below")
    @classmethod
    def _thresholds_are_readable(cls, said: str) -> str:
        parse_unsure_below(said)
        return said

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

    @field_validator("roots")
    @classmethod
    def _roots_are_folders(cls, roots: dict[str, Path]) -> dict[str, Path]:
        for name, folder in roots.items():
            if not name or not all(letter.isalnum() or letter in "-_." for letter in name):
                raise ValueError(f"{name!r} is no root name: use letters, digits, '-', '_', '.'")
            if not folder.is_absolute() or not folder.is_dir():
                raise ValueError(f"{name}: {folder} is not an absolute path of a folder")
        return roots

    @model_validator(mode="after")
    def _values_go_together(self) -> Self:
        if not is_loopback(self.host) and self.access_token is None:
            raise ValueError(
                f"host {self.host} can be reached by others: set FACES_JOBS_ACCESS_TOKEN, "
                "or bind to 127.0.0.1"
            )
        if self.heartbeat_seconds * 2 > self.lease_seconds:
            raise ValueError("heartbeat_seconds must be at most half of lease_seconds")
        if bool(self.s3_access_key_id) != (self.s3_secret_access_key is not None):
            raise ValueError("s3_access_key_id and s3_secret_access_key go together: set both")
        if self.s3_endpoint.startswith("http://") and not self.s3_allow_http:
            raise ValueError(
                "s3_endpoint sends everything in the clear: use https://, or say "
                "FACES_JOBS_S3_ALLOW_HTTP=true"
            )
        return self

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read every `FACES_JOBS_*` variable.

        A name with `_FILE` behind it (`FACES_JOBS_ACCESS_TOKEN_FILE`) names a file that holds
        the value, for secrets mounted as files. An empty value means the default.

        Raises:
            SettingsError: an unknown name, a wrong type, or values that don't go together.
        """
        texts = _texts_by_setting(cls, environment)
        values: dict[str, Any] = {}
        for name, text in texts.items():
            values[name] = _roots_from(text) if name == "roots" else text
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise SettingsError(_reasons(error)) from error

    @property
    def bucket(self) -> tuple[str, str] | None:
        """Name of the bucket, and what keys in it begin with (empty, or with a slash at the end).

        None: files are kept in the data folder.
        """
        return _bucket(self.storage)

    @property
    def database(self) -> str:
        """The database URL in force."""
        if self.database_url:
            return self.database_url
        return f"sqlite:///{self.data_folder.resolve() / 'faces_jobs.db'}"

    @property
    def silent_seconds(self) -> float:
        """A process that told nothing for so long counts as gone."""
        return 4 * self.presence_seconds

    @property
    def server(self) -> str:
        """The server's base URL for clients, without a slash at the end."""
        return self.server_url.rstrip("/") or f"http://127.0.0.1:{self.port}"

    @property
    def webhook_key(self) -> bytes | None:
        """The key that webhooks are signed with."""
        return None if self.webhook_secret is None else _signing_key(self.webhook_secret)

    @property
    def webhook_network_list(self) -> tuple[Network, ...]:
        """The networks that webhooks may reach though they are not public."""
        return _networks(self.webhook_networks)

    @property
    def webhook_port_set(self) -> frozenset[int] | None:
        """The ports that webhooks may use. None: any."""
        return _ports(self.webhook_ports)


def is_loopback(host: str) -> bool:
    """True for addresses that only this machine reaches."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _bucket(said: str) -> tuple[str, str] | None:
    if said in ("", "local"):
        return None
    found = re.fullmatch(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])((?:/[\w!.*'()-]+)*)/?", said)
    if found is None or {".", ".."} & set(said.split("/")):
        raise ValueError(f"{said!r} is neither `local` nor like s3://bucket/prefix")
    name, prefix = found.groups()
    return name, f"{prefix[1:]}/" if prefix else ""


def _signing_key(secret: SecretStr) -> bytes:
    prefix, _, text = secret.get_secret_value().partition("_")
    try:
        key = base64.b64decode(text, validate=True)
    except ValueError:
        key = b""
    if prefix != "whsec" or not 24 <= len(key) <= 64:
        raise ValueError(
            "must be whsec_ and the base64 of 24 to 64 bytes; make one with: python -c "
            '\'import base64, secrets; print("whsec_" + '
            "base64.b64encode(secrets.token_bytes(32)).decode())'"
        )
    return key


def _networks(text: str) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())


def _ports(text: str) -> frozenset[int] | None:
    if text.strip() == "*":
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and 0 < int(part) < 65536 for part in parts):
        raise ValueError("must be numbers of ports, comma separated, or *")
    return frozenset(int(part) for part in parts)


def _texts_by_setting(cls: type[Settings], environment: Mapping[str, str]) -> dict[str, str]:
    texts: dict[str, str] = {}
    for variable, text in environment.items():
        if not variable.startswith(ENVIRONMENT_PREFIX) or not text:
            continue
        name = variable.removeprefix(ENVIRONMENT_PREFIX).lower()
        if name not in cls.model_fields and name.endswith("_file"):
            name = name.removesuffix("_file")
            try:
                text = Path(text).read_text(encoding="utf-8").strip()  # noqa: PLW2901 (the value)
            except OSError as error:
                raise SettingsError(
                    f"{variable}: can't read that file: {error.strerror}."
                ) from error
        if name not in cls.model_fields:
            raise SettingsError(f"{variable} is no setting; the README lists them all.")
        if name in texts:
            raise SettingsError(f"{variable} is set twice, once as a value and once as a file.")
        texts[name] = text
    return texts


def _roots_from(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError as error:
        raise SettingsError(
            'FACES_JOBS_ROOTS is no JSON; write it as {"films": "/srv/films"}.'
        ) from error


def _reasons(error: ValidationError) -> str:
    reasons = []
    for problem in error.errors(include_url=False, include_input=False, include_context=False):
        name = ".".join(str(part) for part in problem["loc"])
        reason = problem["msg"].removeprefix("Value error, ")
        reasons.append(f"{ENVIRONMENT_PREFIX}{name.upper()}: {reason}" if name else reason)
    return "Settings can't be used: " + "; ".join(reasons) + "."

"""`Settings`: all settings in one frozen class that every role uses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from pydantic import ConfigDict, ValidationError

from faces_jobs.errors import SettingsError
from faces_jobs.settings.environment import format_errors, values_by_setting
from faces_jobs.settings.limits import LimitSettings
from faces_jobs.settings.pipeline import PipelineSettings
from faces_jobs.settings.processes import ProcessSettings
from faces_jobs.settings.storage import StorageSettings
from faces_jobs.settings.web import WebSettings
from faces_jobs.settings.webhooks import WebhookSettings


class Settings(
    WebhookSettings,
    ProcessSettings,
    PipelineSettings,
    LimitSettings,
    WebSettings,
    StorageSettings,
):
    """All settings. Create it once with `Settings.from_environment()` and pass it down."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read every `FACES_JOBS_*` variable.

        A name with `_FILE` appended (`FACES_JOBS_ACCESS_TOKEN_FILE`) refers to a file that contains
        the value, for secrets mounted as files. An empty value means the default.

        Raises:
            SettingsError: a name is unknown, a value has the wrong type, or values contradict each
                other.
        """
        values = values_by_setting(cls.model_fields, environment)
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise SettingsError(format_errors(error)) from error

"""All settings in one frozen value, which every role is given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from pydantic import ConfigDict, ValidationError

from faces_jobs.errors import SettingsError
from faces_jobs.settings.environment import reasons, values_by_setting
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
    """The settings of every role. Make one with `Settings.from_environment()` and pass it down."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read every `FACES_JOBS_*` variable.

        A name with `_FILE` behind it (`FACES_JOBS_ACCESS_TOKEN_FILE`) names a file that holds
        the value, for secrets mounted as files. An empty value means the default.

        Raises:
            SettingsError: an unknown name, a wrong type, or values that don't go together.
        """
        values = values_by_setting(cls.model_fields, environment)
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise SettingsError(reasons(error)) from error

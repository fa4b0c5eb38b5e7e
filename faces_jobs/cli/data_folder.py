"""Creates the data folder, for its owner only: it holds pictures of people, and a signing key."""

from __future__ import annotations

from faces_jobs.errors import SettingsError
from faces_jobs.settings import Settings


def make_data_folder(settings: Settings) -> None:
    """Create the data folder if it does not exist. The rights of an existing one are kept.

    Raises:
        SettingsError: it can't be created.
    """
    folder = settings.data_folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise SettingsError(
            f"The data folder {folder} can't be created ({error.strerror}): set "
            "FACES_JOBS_DATA_FOLDER to a folder that this user may write to."
        ) from error

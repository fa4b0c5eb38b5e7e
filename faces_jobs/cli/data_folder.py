"""Creates the data folder, for its owner only: it holds pictures of people, and a signing key."""

from __future__ import annotations

from faces_jobs.settings import Settings


def make_data_folder(settings: Settings) -> None:
    """Create the data folder if it does not exist. The rights of an existing one are kept."""
    folder = settings.data_folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)

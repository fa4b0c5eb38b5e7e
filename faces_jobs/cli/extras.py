"""Tell the user which extra to install when a command lacks a package."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from types import MappingProxyType

import click

from faces_jobs.settings import Settings

MODULES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "web": ("flask", "gunicorn", "prometheus_client"),
        "worker": ("av", "cv2", "numpy", "onnxruntime", "pyarrow", "torch"),
        "redis": ("redis", "packaging"),
        "train": ("skimage",),
    }
)
"""Modules by which an extra is recognised as installed."""


def require_extras(settings: Settings, *extras: str) -> None:
    """Check that extras are installed, and `redis` if the settings name a broker.

    Raises:
        ClickException: a package is missing. The message says how to install it.
    """
    if settings.broker_url:
        extras = (*extras, "redis")
    with report_missing_packages(*extras):
        for extra in extras:
            for name in MODULES[extra]:
                if find_spec(name) is None:
                    raise ModuleNotFoundError(name=name)


@contextmanager
def report_missing_packages(*extras: str) -> Iterator[None]:
    """Turn a missing package into an error that names the extras to install.

    Default: `worker` and `train`.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("faces_jobs"):
            raise
        names = f"[{','.join(extras or ('worker', 'train'))}]"
        raise click.ClickException(
            f"This command needs the package {error.name}. Install it with "
            f"`pip install '.{names}'` in the checkout, or with "
            f'`pip install "dist/faces_jobs-...whl{names}"` and the wheel that `make wheel` builds.'
        ) from error

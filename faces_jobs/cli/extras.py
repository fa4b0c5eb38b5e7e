"""What a command says where a package is not installed: which extra brings it, and how."""

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
"""By what each extra is known to be there."""


def require_extras(settings: Settings, *extras: str) -> None:
    """See that these extras are installed, and Redis' where the settings name it.

    Raises:
        ClickException: a package is missing; says how to install it.
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
    """Say which extras hold a package that is not there: `worker` and `train`, if none is named."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("faces_jobs"):
            raise
        named = f"[{','.join(extras or ('worker', 'train'))}]"
        raise click.ClickException(
            f"This needs the package {error.name}: pip install '.{named}' in the checkout, or "
            f'pip install "dist/faces_jobs-...whl{named}" with the wheel that `make wheel` makes.'
        ) from error

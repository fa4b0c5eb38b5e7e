"""Loads the weights in a record's safetensors file into a torch network."""

from __future__ import annotations

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from faces_jobs.errors import ModelError
from faces_jobs_models.weights import ModelRecord


def load_weights(network: nn.Module, record: ModelRecord, *, advice: str) -> None:
    """Load the weights in the record's safetensors file.

    Raises:
        ModelError: the file can't be read, or holds another network; its message ends with
            `advice`.
    """
    path = record.files["safetensors"].path
    try:
        network.load_state_dict(load_file(path, device="cpu"))
    except (RuntimeError, SafetensorError, OSError) as error:
        raise ModelError(
            f"The weights in {path} don't fit the network that their record describes. {advice}"
        ) from error

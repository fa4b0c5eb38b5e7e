"""Starts a training from the weights of a model that ships, where its recipe says so."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load_file

import faces_jobs_models
from faces_jobs_models.attribute_network import AttributeNetwork
from faces_jobs_models.weights import read_record

_SHIPPED = Path(faces_jobs_models.__file__).parent


def start_from(network: AttributeNetwork, model: str) -> list[str]:
    """Take over every weight of the shipped `model` that has the same name and shape.

    That is its whole body where both have the same, and the heads that they have in common;
    what the other model does not know keeps its starting weights.

    Returns:
        The heads that were taken over.

    Raises:
        ModelError: the model's files are missing or changed.
    """
    record = read_record(_SHIPPED / model)
    record.verify()
    shipped = load_file(record.files["safetensors"].path)
    own = network.state_dict()
    taken = {
        name: weight
        for name, weight in shipped.items()
        if name != "temperatures" and name in own and own[name].shape == weight.shape
    }
    network.load_state_dict({**own, **taken})
    return [head for head in network.heads if f"outputs.{head}.weight" in taken]

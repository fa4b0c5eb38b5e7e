"""Builds a classifier's network from the options in its record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from faces_jobs.errors import ModelError
from faces_jobs_models.attribute_network import AttributeNetwork, NetworkConfig
from faces_jobs_models.residual import BodyConfig


def build_network(
    heads: Mapping[str, tuple[str, ...]], options: Mapping[str, Any]
) -> AttributeNetwork:
    """Build a network with initial weights.

    Args:
        heads: head name -> its labels.
        options: the table `network` of a record: in_channels, stem, stem_stride, widths, blocks,
            dropout.

    Raises:
        ModelError: an option is missing or invalid.
    """
    try:
        body = BodyConfig(
            in_channels=int(options["in_channels"]),
            stem=int(options["stem"]),
            stem_stride=int(options.get("stem_stride", 2)),  # not in records before 3.0
            widths=tuple(int(width) for width in options["widths"]),
            blocks=tuple(int(count) for count in options["blocks"]),
        )
        config = NetworkConfig(body=body, dropout=float(options["dropout"]))
        return AttributeNetwork(heads, config)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ModelError(
            "The network options in the record are invalid "
            f"({type(error).__name__}: {error}). Export the model again."
        ) from error

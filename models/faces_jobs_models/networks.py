"""Builds a classifier's network from its record's options. The only torch-side list of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from faces_jobs.errors import ModelError
from faces_jobs_models.attribute_network import AttributeNetwork
from faces_jobs_models.expression.network import ExpressionConfig, ExpressionNetwork
from faces_jobs_models.gender.network import GenderConfig, GenderNetwork
from faces_jobs_models.mini_xception import BodyConfig
from faces_jobs_models.multiple.network import MultipleConfig, MultipleNetwork

_BUILDERS: Mapping[str, Callable[[BodyConfig, float], AttributeNetwork]] = MappingProxyType(
    {
        "gender": lambda body, dropout: GenderNetwork(GenderConfig(body=body, dropout=dropout)),
        "expression": lambda body, dropout: ExpressionNetwork(
            ExpressionConfig(body=body, dropout=dropout)
        ),
        "multiple": lambda body, dropout: MultipleNetwork(
            MultipleConfig(body=body, dropout=dropout)
        ),
    }
)


def build_network(model: str, options: Mapping[str, Any]) -> AttributeNetwork:
    """The network of `model` with starting weights.

    Args:
        model: gender, expression or multiple.
        options: the table `network` of its record: in_channels, stem, widths, repeats, dropout.

    Raises:
        ModelError: the options don't describe such a network.
    """
    try:
        body = BodyConfig(
            in_channels=int(options["in_channels"]),
            stem=int(options["stem"]),
            widths=tuple(int(width) for width in options["widths"]),
            repeats=tuple(int(count) for count in options["repeats"]),
        )
        return _BUILDERS[model](body, float(options["dropout"]))
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"The network options in the record of {model} are not usable "
            f"({type(error).__name__}: {error}). Export the model again."
        ) from error

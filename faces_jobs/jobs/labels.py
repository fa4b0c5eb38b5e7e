"""The three models, their heads and the labels of each, in the order of the probabilities."""

from __future__ import annotations

from types import MappingProxyType

MODELS: MappingProxyType[str, MappingProxyType[str, tuple[str, ...]]] = MappingProxyType(
    {
        "gender": MappingProxyType({"gender": ("female", "male")}),
        "expression": MappingProxyType(
            {
                "expression": (
                    "anger",
                    "disgust",
                    "fear",
                    "happiness",
                    "neutral",
                    "sadness",
                    "surprise",
                )
            }
        ),
        "multiple": MappingProxyType(
            {
                "illumination": ("bad", "medium", "high"),
                "pose": ("frontal", "left", "right", "up", "down"),
                "occlusion": (
                    "glasses",
                    "beard",
                    "ornaments",
                    "hair",
                    "hand",
                    "none",
                    "others",
                ),
                "age": ("child", "young", "middle", "old"),
                "makeup": ("partial", "over"),
            }
        ),
    }
)
"""Model name -> head name -> labels. Changing their order requires a new version of the model."""

HEADS: MappingProxyType[str, tuple[str, ...]] = MappingProxyType(
    {head: labels for heads in MODELS.values() for head, labels in heads.items()}
)
"""Head name -> labels, over all models: gender, expression, illumination, ... makeup."""

_MIRRORED_LABELS = MappingProxyType({"left": "right", "right": "left"})

MIRRORED_LABEL_INDICES: MappingProxyType[str, tuple[int, ...]] = MappingProxyType(
    {
        head: tuple(labels.index(_MIRRORED_LABELS.get(label, label)) for label in labels)
        for head, labels in HEADS.items()
    }
)
"""Head name -> for each of its labels, the index of the label that its mirror image has."""

UNSURE = "unsure"
"""Replaces a label whose probability is below its head's threshold."""

LABELS_WITH_UNSURE: MappingProxyType[str, tuple[str, ...]] = MappingProxyType(
    {head: (*labels, UNSURE) for head, labels in HEADS.items()}
)
"""Head name -> every value that a face's attribute can have: the labels, and `unsure`."""

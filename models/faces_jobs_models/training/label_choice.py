"""Which labels to use from a data set with two kinds: the votes of FER+, or those of FER2013."""

from __future__ import annotations

from typing import Literal

LabelChoice = Literal["ferplus", "fer2013"]

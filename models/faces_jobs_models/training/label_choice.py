"""Which labels count where a data set has two kinds: the votes of FER+, or FER2013's own."""

from __future__ import annotations

from typing import Literal

LabelChoice = Literal["ferplus", "fer2013"]

"""The stages of the work on one item: what its segments' rows are for.

    image, short video   whole
    video that is cut    find, one for each part -> link -> draw, one for each part -> bind
    not to be cut        whole -> uncut

Each is a row of its own, claimed, renewed, tried again and given up in the same way.
"""

from __future__ import annotations

from enum import StrEnum


class Stage(StrEnum):
    """What a segment's row is for."""

    WHOLE = "whole"  # the item in one go, unless its video is found to be worth cutting
    UNCUT = "uncut"  # the item in one go: it was looked at, and can't or need not be cut
    FIND = "find"  # faces and opinions of one part
    LINK = "link"  # tracks and votes over all parts, as one run would have made them
    DRAW = "draw"  # best shots and the annotated copy of one part
    BIND = "bind"  # one annotated copy of all parts, with the source's sound

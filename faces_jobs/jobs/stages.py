"""The stages in which an item is processed; each segment belongs to one.

    image, short video   whole
    video that is cut    find, one for each part -> link -> draw, one for each part -> bind
    video not to be cut  whole -> uncut

Each segment has a row of its own; all are claimed, renewed, retried and given up the same way.
"""

from __future__ import annotations

from enum import StrEnum


class Stage(StrEnum):
    """What a worker does with a segment."""

    WHOLE = "whole"  # process the item in one go, unless its video is worth cutting
    UNCUT = "uncut"  # process the item in one go: its video can't or need not be cut
    FIND = "find"  # detect and classify the faces of one part
    LINK = "link"  # track and vote over all parts, with the same result as in one run
    DRAW = "draw"  # make the best shots and the annotated copy of one part
    BIND = "bind"  # join the annotated parts and add the source's sound

"""Numbers of rows in addresses and in what is asked: one that no row can have is told here.

The database would fail at it. `<row:item_id>` in a route leads nowhere where it is too large.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from werkzeug.routing import IntegerConverter, Map

from faces_jobs.results.pages import MAX_COUNT, MAX_INTEGER

RowNumber = Annotated[int, Field(ge=0, le=MAX_INTEGER)]
# What is counted within an item has half the width.
Count = Annotated[int, Field(ge=0, le=MAX_COUNT)]


class RowConverter(IntegerConverter):
    """The number of a row, in a route."""

    def __init__(self, map: Map) -> None:  # noqa: A002 (Werkzeug's own name)
        """Take no more than the database does."""
        super().__init__(map, max=MAX_INTEGER)

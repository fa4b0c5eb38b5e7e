"""Row numbers in URLs and query parameters, limited to what a database column can hold.

Larger numbers would make the query fail. A route with `<row:item_id>` does not match them (404).
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from werkzeug.routing import IntegerConverter, Map

from faces_jobs.results.pages import MAX_COUNT, MAX_INTEGER

RowNumber = Annotated[int, Field(ge=0, le=MAX_INTEGER)]
# Numbers within an item, such as that of a track, are stored in narrower columns.
Count = Annotated[int, Field(ge=0, le=MAX_COUNT)]


class RowConverter(IntegerConverter):
    """Converts the number of a row in a route."""

    def __init__(self, map: Map) -> None:  # noqa: A002 (Werkzeug's name)
        """Limit the number to what the database can hold."""
        super().__init__(map, max=MAX_INTEGER)

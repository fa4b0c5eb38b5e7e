"""The body of a request that is to be JSON."""

from __future__ import annotations

from flask import request
from werkzeug.exceptions import BadRequest, UnsupportedMediaType


def json_body() -> object:
    """The value in the request's body.

    Raises:
        UnsupportedMediaType: it is not said to be JSON.
        BadRequest: it is none.
    """
    if not request.is_json:
        raise UnsupportedMediaType("Send this as application/json.")
    try:
        value: object = request.get_json()
    except BadRequest as error:
        raise BadRequest("The body is no JSON.") from error
    return value

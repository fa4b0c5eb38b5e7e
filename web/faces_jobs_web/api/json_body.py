"""Parses the JSON body of a request."""

from __future__ import annotations

import json

from flask import request
from werkzeug.exceptions import BadRequest, UnsupportedMediaType


def json_body() -> object:
    """Return the value in the request's JSON body.

    Raises:
        UnsupportedMediaType: the Content-Type is not JSON.
        BadRequest: the body is not valid JSON, or contains lone surrogates.
    """
    if not request.is_json:
        raise UnsupportedMediaType("Send this as application/json.")
    try:
        value: object = request.get_json()
        # JSON escapes can encode lone surrogates, which can be neither stored nor sent as UTF-8.
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise BadRequest("The body contains a lone surrogate (half of a character).") from error
    except (BadRequest, RecursionError) as error:
        raise BadRequest("The body is not valid JSON.") from error
    return value

"""The body of a request that is to be JSON."""

from __future__ import annotations

import json

from flask import request
from werkzeug.exceptions import BadRequest, UnsupportedMediaType


def json_body() -> object:
    """The value in the request's body.

    Raises:
        UnsupportedMediaType: it is not said to be JSON.
        BadRequest: it is none, or its texts are none.
    """
    if not request.is_json:
        raise UnsupportedMediaType("Send this as application/json.")
    try:
        value: object = request.get_json()
        # Half of a character (a lone surrogate) can be written in JSON, and kept or sent nowhere.
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise BadRequest("The body holds half of a character: send whole ones.") from error
    except (BadRequest, RecursionError) as error:
        raise BadRequest("The body is no JSON.") from error
    return value

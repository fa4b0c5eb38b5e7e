"""Prints documents of the API as JSON that is valid whatever the encoding of the output."""

from __future__ import annotations

import codecs
import sys

import click
from pydantic import BaseModel


def print_document(document: BaseModel, *, indent: int | None = 2) -> None:
    """Print a document; `indent` None prints it as one line.

    JSON is UTF-8. Where the locale has another encoding, all but ASCII is escaped, which is valid
    in both.
    """
    is_utf_8 = codecs.lookup(sys.stdout.encoding).name == "utf-8"
    click.echo(document.model_dump_json(indent=indent, ensure_ascii=not is_utf_8))

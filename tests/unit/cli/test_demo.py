"""`faces-jobs demo`: how it serves after its results are shown."""

from __future__ import annotations

from typing import NoReturn

from rich.console import Console

from faces_jobs.cli.demo import serve_until_interrupted
from faces_jobs.cli.supervisor import Supervisor


class InterruptedTerminal:
    """Where somebody presses Ctrl-C as soon as a line is written."""

    def write(self, _text: str) -> NoReturn:
        raise KeyboardInterrupt

    def flush(self) -> None:
        """Nothing is buffered."""


def test_ctrl_c_while_its_line_is_written_ends_it_normally() -> None:
    supervisor = Supervisor(workers=0, environment=None)
    console = Console(file=InterruptedTerminal())  # type: ignore[arg-type]
    serve_until_interrupted(supervisor, "http://127.0.0.1:8000", console)

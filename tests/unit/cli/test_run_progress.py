"""The progress bars of `faces-jobs run`."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from faces_jobs.cli.run_progress import RunProgress


def screen(*, width: int = 80) -> Console:
    """A terminal that is written to memory, without colours."""
    return Console(file=StringIO(), force_terminal=True, width=width, no_color=True)


def shown(console: Console) -> str:
    file = console.file
    assert isinstance(file, StringIO)
    return file.getvalue()


@pytest.mark.parametrize("name", ["a [red] day.mp4", "[/red].jpg", ":smile:.png", "a\\[b.png"])
def test_a_name_is_shown_as_it_is(name: str) -> None:
    console = screen()
    with RunProgress(console) as progress:
        progress.start_input(name, frames=12)
        progress.update_input(12, 12)
        progress.end_input()
    assert name in shown(console)
    assert "12/12" in shown(console)


def test_only_the_current_of_many_inputs_has_a_line() -> None:
    console = screen()
    with RunProgress(console) as progress:
        progress.expect_inputs(1000)
        for number in range(1000):
            progress.start_input(f"{number}.jpg", frames=1)
            progress.update_input(1, 1)
            progress.end_input()
    assert "1000/1000" in shown(console)
    last = shown(console).rpartition("files")[2]
    assert ".jpg" not in last
    assert "999.jpg" in shown(console)


@pytest.mark.parametrize("width", [40, 80])
def test_a_long_name_leaves_room_for_the_counts(width: int) -> None:
    console = screen(width=width)
    with RunProgress(console) as progress:
        progress.start_input("folder/" * 20 + "a.mp4", frames=250)
        progress.update_input(125, 250)
    assert "125/250" in shown(console)


def test_nothing_is_shown_before_the_first_input() -> None:
    console = screen()
    with RunProgress(console):
        pass
    assert not shown(console)

"""The progress bars of `faces-jobs run`: of the current input, and of all inputs."""

from __future__ import annotations

from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Column

MAX_NAME_SHARE = 0.45  # of the width of the terminal; leaves room for bar and counts


class RunProgress:
    """Shows the frames of the current input and, if there are several, how many inputs are done.

    Inputs that are done get no line of their own: all lines are drawn anew several times a second,
    and there may be thousands of inputs. Use it with `with`.
    """

    def __init__(self, console: Console) -> None:
        width = round(MAX_NAME_SHARE * console.width)
        # A name may contain brackets, which are no markup.
        name = TextColumn(
            "{task.description}",
            markup=False,
            table_column=Column(no_wrap=True, overflow="ellipsis", max_width=width),
        )
        count = MofNCompleteColumn(table_column=Column(no_wrap=True, min_width=len("1234/1234")))
        self._bar = Progress(name, BarColumn(), count, TimeRemainingColumn(), console=console)
        self._inputs: TaskID | None = None
        self._current: TaskID | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar.live.is_started:  # else it would print an empty line before an error
            self._bar.stop()

    def expect_inputs(self, count: int) -> None:
        """Show how many of these inputs are done, unless there is only one."""
        self._bar.start()
        if count > 1:
            self._inputs = self._bar.add_task("files", total=count)

    def start_input(self, name: str, *, frames: int | None) -> None:
        """Show the progress of this input; `frames` is their number, None if it is unknown."""
        self._bar.start()
        self._current = self._bar.add_task(name, total=frames)

    def update_input(self, done: int, frames: int | None) -> None:
        """Show how many frames of the current input are done."""
        if self._current is not None:
            self._bar.update(self._current, completed=done, total=frames)

    def end_input(self) -> None:
        """Count the current input as done; the bar of an only input stays."""
        if self._inputs is None:
            return
        self._bar.advance(self._inputs)
        if self._current is not None:
            self._bar.remove_task(self._current)
            self._current = None

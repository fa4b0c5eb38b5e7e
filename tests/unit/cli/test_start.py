"""Ctrl-C while the command is still being imported."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from faces_jobs.__main__ import main
from faces_jobs.cli import exits


class InterruptedImport:
    """A finder of modules: Ctrl-C arrives while the command line is imported."""

    def find_spec(self, name: str, *_: Any) -> None:
        if name == "faces_jobs.cli":
            raise KeyboardInterrupt


def test_an_interruption_during_the_start_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "faces_jobs.cli")
    monkeypatch.setattr(sys, "meta_path", [InterruptedImport(), *sys.meta_path])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == exits.INTERRUPTED

"""Starts the `faces-jobs` command, also as `python -m faces_jobs`."""

from __future__ import annotations

import sys

INTERRUPTED = 130  # `exits.INTERRUPTED`


def main() -> None:
    """Run the command. Its import takes a while, in which Ctrl-C must not end in a traceback."""
    try:
        from faces_jobs.cli import main as run_command

        run_command()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()

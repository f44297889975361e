"""`python -m runner.tracking RUN_DIR [--follow]`: the uploader's process; by hand: `runner sync`."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from io import FileIO
from pathlib import Path

from runner.errors import RunnerError
from runner.redact import RedactingFormatter
from runner.tracking.sweep import follow_sweep
from runner.tracking.sync import sync
from runner.tracking.uploader import follow


def main() -> int:
    """Bring one run into MLflow, following it to its end with --follow."""
    parser = argparse.ArgumentParser(prog="python -m runner.tracking", description=__doc__)
    parser.add_argument("directory", type=Path, help="run directory")
    parser.add_argument(
        "--follow", action="store_true", help="go on until the run ends (configuration on stdin)"
    )
    parser.add_argument("--sweep", action="store_true", help="the same for all runs of a sweep directory")
    arguments = parser.parse_args()
    try:
        if arguments.follow or arguments.sweep:
            _detach()
            accompany = follow_sweep if arguments.sweep else follow
            report = accompany(arguments.directory, FileIO(sys.stdin.fileno(), closefd=False))
        else:
            report = sync(arguments.directory)
    except RunnerError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    if report.message:
        print(report.message, file=sys.stderr)
    return 0 if report.state == "synced" else 4


def _detach() -> None:
    """Leave signals to the run, whose end is ours, and write a clean log."""
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, signal.SIG_IGN)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(RedactingFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    log = logging.getLogger("runner.tracking")
    log.addHandler(handler)
    log.propagate = False


if __name__ == "__main__":
    sys.exit(main())

"""`python -m runner.tracking --follow|--sweep|--reconcile DIR`: the uploader's process.

By hand: `python -m runner sync DIR`.
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import traceback
from io import FileIO

from runner.tracking.process import follow
from runner.tracking.sweep import follow_sweep
from runner.tracking.sync import reconcile

PATIENCE = 60.0
"""Seconds to wait for another process that is bringing in the same run."""


def main() -> int:
    """Accompany a run, or all runs of a sweep, to the end; what to do comes on stdin."""
    parser = argparse.ArgumentParser(prog="python -m runner.tracking", description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--follow", action="store_true", help="one run")
    what.add_argument("--sweep", action="store_true", help="all runs of a sweep")
    what.add_argument(
        "--reconcile", metavar="DIR", help="the end of a run that was brought in while it went on"
    )
    arguments = parser.parse_args()
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, signal.SIG_IGN)  # they are meant for the run, whose end is ours
    log = logging.getLogger("runner.tracking")
    log.propagate = False
    accompany = follow_sweep if arguments.sweep else follow
    try:
        if arguments.reconcile:
            reconcile(arguments.reconcile, wait=PATIENCE)
            return 0
        accompany(FileIO(sys.stdin.fileno(), closefd=False))
    except Exception:
        log.error("the upload failed: %s", traceback.format_exc())
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""How far a campaign has come, in a file: one that was interrupted goes on with the trials that are left."""

from __future__ import annotations

import json
import os
import resource
import subprocess
from pathlib import Path
from typing import Any
from zlib import crc32


class Ledger:
    """The outcome of every trial, a line each; without a file they are kept in memory only.

    Args:
        path: The file; None: there is none.
        told: What the campaign is: seed, numbers, kinds. Another one's file is refused.

    Raises:
        SystemExit: the file is of another campaign, or of other code.
    """

    def __init__(self, path: Path | None, told: dict[str, Any]) -> None:
        self._path = path
        self._known: dict[tuple[str, int], dict[str, Any]] = {}
        head = {**told, "code": code()}
        if path is None:
            return
        if path.exists():
            first, *lines = [line for line in path.read_text().splitlines() if line] or ["{}"]
            if json.loads(first) != head:
                raise SystemExit(f"{path} is of another campaign, or of other code; delete it to start over")
            for line in lines:
                try:
                    said = json.loads(line)
                except ValueError:  # it was killed while it wrote
                    continue
                self._known[said["row"], said["trial"]] = said
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(head) + "\n")

    def known(self, row: str, trial: int) -> dict[str, Any] | None:
        """What came of a trial; None where it was not carried out yet."""
        return self._known.get((row, trial))

    def add(self, row: str, trial: int, **said: Any) -> None:
        """Take note of a trial."""
        self._known[row, trial] = {"row": row, "trial": trial, **said}
        if self._path is not None:
            with self._path.open("a") as file:  # a new line first: the last one may have been cut off
                file.write("\n" + json.dumps(self._known[row, trial]) + "\n")


def code() -> str:
    """The commit that is tried, with a digest of what differs from it."""
    try:
        commit = _git("rev-parse", "HEAD")
        changes = _git("diff", "HEAD", "--", "runner", "experiments", "conf", "tests/faults")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit.strip() + (f"+{crc32(changes.encode()):08x}" if changes else "")


def _git(*words: str) -> str:
    return subprocess.run(
        ["git", *words], check=True, capture_output=True, text=True, cwd=os.path.dirname(__file__)
    ).stdout


def spent() -> float:
    """Processor time of this process and of all that it waited for."""
    every = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(used.ru_utime + used.ru_stime for used in every)

"""What is written down of where a run was carried out."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from runner.record.environment import commit


def git(*words: str) -> str:
    """What git says."""
    owner = {
        f"GIT_{role}_{what}": "somebody" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    environment = os.environ | owner
    done = subprocess.run(["git", *words], check=True, capture_output=True, text=True, env=environment)
    return done.stdout.strip()


def test_the_commit_is_told_and_nothing_of_the_repository_is_written(workdir: Path) -> None:
    """A file that was touched makes git want to write its index anew; the name is the one that `rev-parse` says."""
    git("init", "--quiet")
    file = workdir / "file"
    file.write_text("a")
    git("add", "file")
    git("commit", "--quiet", "--message", "the first one")
    os.utime(file, (1, 1))
    before = (workdir / ".git" / "index").stat().st_mtime_ns

    assert commit() == git("rev-parse", "HEAD")
    file.write_text("b")
    assert commit() == git("rev-parse", "HEAD") + "+"
    assert (workdir / ".git" / "index").stat().st_mtime_ns == before
    (workdir / ".git").rename(workdir / "gone")
    assert commit() is None

"""Disks that fill up, are read-only, or go away: small file systems in memory, mounted for one trial."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Disk:
    """A mounted tmpfs."""

    path: Path

    def grow(self) -> None:
        """Make room."""
        _mount("-o", "remount,size=64m,nr_inodes=10000", str(self.path))

    def protect(self, protected: bool = True) -> None:
        """Make it read-only, or writable again; nothing on it may be open for writing."""
        _mount("-o", f"remount,{'ro' if protected else 'rw'}", str(self.path))


@contextlib.contextmanager
def mounted(path: Path, *, kilobytes: int = 65536, files: int = 10000) -> Iterator[Disk]:
    """A new disk of so many kilobytes that holds so many files and directories."""
    path.mkdir()
    options = f"size={kilobytes}k,nr_inodes={files + 1},mode=0700"  # its root is one of them
    _mount("-t", "tmpfs", "-o", options, "runner-faults", str(path))
    try:
        yield Disk(path)
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)
        path.rmdir()


def mounting_is_permitted() -> bool:
    """Whether this process may mount; containers and users mostly may not."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            with mounted(Path(folder) / "disk"):
                return True
        except (OSError, subprocess.CalledProcessError):
            return False


def away(directory: Path, elsewhere: Path | None) -> None:
    """Move a directory, or delete it."""
    if elsewhere is None:
        shutil.rmtree(directory)
    else:
        directory.rename(elsewhere)


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True, capture_output=True)

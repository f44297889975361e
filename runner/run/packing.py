"""A long journal that is gone on with is packed beside, as far as it stays as it is: at the end most of it is done."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from runner.errors import JournalChangedError, RunnerError
from runner.record.journal import Journal, pack
from runner.record.packed import BLOCK, Begun
from runner.runtime.threads import Background

log = logging.getLogger("runner")

LEAST = 16 * BLOCK
"""Bytes of a journal from which on a thread is begun for it."""


class Packing:
    """Packs a journal when its run has finished."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._begun: Begun | None = None
        self._thread: Background | None = None
        self._wanted = True

    @classmethod
    @contextlib.contextmanager
    def of(cls, journal: Journal) -> Iterator[Self]:
        """Begin with what there is of a journal; where that cannot be, everything is done at the end."""
        packing = cls(journal.path)
        try:
            packing._begin(journal.size)
            yield packing
        finally:
            packing._stop()
            if packing._begun is not None:
                packing._begun.close()

    def finish(self) -> None:
        """Keep the journal, which is closed, in fewer bytes; nothing is lost where that cannot be.

        Raises:
            JournalChangedError: somebody has changed it.
        """
        self._stop()
        try:
            pack(self.path, self._begun)
        except JournalChangedError:
            raise
        except RunnerError as error:
            log.info("the journal stays as it is: %s", error)

    def _begin(self, size: int) -> None:
        if size < LEAST or not self.path.exists():  # what is packed still may stay so
            return
        with contextlib.suppress(OSError, MemoryError):
            self._begun = Begun(self.path, size)
            self._thread = Background(self._go_on).start()

    def _go_on(self) -> None:
        assert self._begun is not None
        try:
            while self._wanted and self._begun.next():
                pass
        except (OSError, MemoryError) as error:
            log.info("the journal is packed at the end: %s", error)

    def _stop(self) -> None:
        self._wanted = False
        if self._thread is not None:
            self._thread.join()
            self._thread = None

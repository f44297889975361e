"""A line of a terminal that changes while something goes on, and tables."""

from __future__ import annotations

import sys
import time
from abc import ABC, abstractmethod
from types import ModuleType
from typing import TYPE_CHECKING, Any, Self, TextIO

from runner.display.stream import as_text
from runner.display.words import digits_of, in_cell
from runner.lazy import rich

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live
    from rich.table import Table

REFRESH = 0.1
"""Seconds between two updates of the progress line."""
PLAIN_INTERVAL = 5.0
"""Seconds between two lines where the output is not a terminal."""


class LiveLine(ABC):
    """One line of a terminal, drawn anew while something goes on; a line now and then where it is not a terminal."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or value_console(sys.stderr)
        self._started = self._shown = time.monotonic()
        self._live: Live | None = None
        self._over = False
        self._cell: Any = None
        """What a notebook's cell shows of it."""

    def __enter__(self) -> Self:
        if (shell := notebook()) is not None:
            self._cell = shell.display.display({"text/plain": ""}, raw=True, display_id=True)
            return self
        if self._console.is_terminal:
            self._live = rich.live.Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        return self

    def __exit__(self, *exit_details: object) -> None:
        if self._live is not None:
            self._live.stop()
        if self._cell is not None:
            self._over = True
            self._show_in_cell(time.monotonic())

    @abstractmethod
    def line(self, now: float) -> str:
        """What it says at a moment of the monotonic clock."""

    def draw(self) -> None:
        """Show the line, unless it was shown just before."""
        now = time.monotonic()
        if now - self._shown < (REFRESH if self._live or self._cell else PLAIN_INTERVAL):
            return
        self._shown = now
        if self._cell is not None:
            self._show_in_cell(now)
            return
        if self._live is not None:
            self._live.update(rich.text.Text(as_text(self.line(now))), refresh=True)
        else:
            self.say(self.line(now))

    def _show_in_cell(self, now: float) -> None:
        self._cell.update({"text/plain": as_text(self.line(now))}, raw=True)

    def say(self, text: str) -> None:
        """Print a line that stays, above the one that changes."""
        self._console.print(as_text(text), highlight=False, markup=False, soft_wrap=True)


def notebook() -> ModuleType | None:
    """IPython, where the program runs in a notebook's kernel; nothing is imported to find that out."""
    shell = sys.modules.get("IPython")
    if shell is None or (running := shell.get_ipython()) is None or "IPKernelApp" not in running.config:
        return None
    return shell


def terminal() -> Console:
    """Standard output; where it is not a terminal, no line is folded, so that a command in it can be copied."""
    return value_console(sys.stdout, width=None if sys.stdout.isatty() else 10_000)


def value_console(stream: TextIO, *, width: int | None = None) -> Console:
    """A console on which values are text alone, so wide as the terminal unless said otherwise."""
    from runner.display.console import ValueConsole

    return ValueConsole(stream, width=width)


def rows(content: list[dict[str, Any]]) -> Table:
    """A table of dictionaries, without keys of lists; what a row does not have stays empty."""
    content = [{name: row[name] for name in row if not isinstance(row[name], list)} for row in content]
    table = rich.table.Table(box=None, padding=(0, 2, 0, 0))
    first = {name: value for row in reversed(content) for name, value in row.items()}
    names = list(dict.fromkeys(name for row in content for name in row))
    for name in names:
        table.add_column(
            rich.text.Text(as_text(name)), justify="right" if isinstance(first[name], int | float) else "left"
        )
    digits = digits_of(content)
    for row in content:
        told = {name: row.get(name, "") for name in names}
        cells = (
            in_cell(name, one, digits.get(name)) if isinstance(one, float) else as_text(one)
            for name, one in told.items()
        )
        table.add_row(*map(rich.text.Text, cells))
    return table

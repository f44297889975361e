"""A console on which a value is nothing but text: it neither colours nor moves what is printed, whoever wrote it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TextIO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from runner.display.stream import Styled, as_text


class ValueConsole(Console):
    """A console that writes out what a terminal would obey, before lines are laid out and colours are added.

    Args:
        stream: what it prints to.
        width: columns; None: those of the terminal.
    """

    def __init__(self, stream: TextIO, *, width: int | None = None) -> None:
        file: Any = Styled(stream)
        super().__init__(file=file, width=width, markup=False, emoji=False, highlight=False)

    def render_str(self, text: str, **settings: Any) -> Text:
        """A value in one line; cells of tables are measured as this has them."""
        return super().render_str(as_text(text), **settings)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        """Its parts, in which nothing but the ends of lines and what the console itself says is obeyed."""
        for part in super().render(renderable, options):
            if part.control or part.text == "\n" or part.text.isprintable():
                yield part
            else:
                lines = part.text.split("\n")
                yield Segment("\n".join(map(as_text, lines)), part.style)

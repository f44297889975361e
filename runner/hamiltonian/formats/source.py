"""A file while it is read: its text, and refusals that name the line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from runner.declare.checks import shorten
from runner.errors import ConfigError

Place = int | tuple[int, ...] | None
"""A line, counted from 1, or the way from the root of a document: the number of a child at each level."""


@dataclass
class Source:
    """What is read, and where a refusal points to."""

    path: Path
    key: str
    """Dotted path of the setting that named the file."""
    text: str
    """The content, without a byte order mark, with `\\n` between lines and `-` for U+2212."""
    locate: Callable[[tuple[int, ...]], int | None] = field(default=lambda _: None)
    """The line of a place in a document; None where it is not known."""
    notes: list[str] = field(default_factory=list)
    """What a reader of the result should know besides: what was added up or left out."""
    unit: str | None = None
    """What the file says that its numbers are in: Ha, or another unit as it is written."""
    order: tuple[str, str, Place] | None = None
    """Which letter is which qubit as the file itself says it, little or big; its words and their place."""

    @classmethod
    def of(cls, path: Path, key: str, content: bytes) -> Source:
        """A text file's source.

        Raises:
            ConfigError: it is not UTF-8, or holds characters that no text has.
        """
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise ConfigError(
                f"{path} is not text (byte {error.start}); save it as UTF-8, or give .npy or .qpy", key=key
            ) from error
        text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\N{MINUS SIGN}", "-")
        source = cls(path, key, text.replace("\N{NO-BREAK SPACE}", " "))
        for number, line in enumerate(source.lines(), 1):
            if not line.isprintable() and not line.replace("\t", " ").isprintable():
                raise source.refuse(
                    f"{shorten(ascii(line), 60)} holds a control character; remove it", number
                )
        return source

    def lines(self) -> list[str]:
        """The lines, without their ends."""
        return self.text.split("\n")

    def says_order(self, order: str, words: str, place: Place) -> None:
        """Take down what the file says of its bit order.

        Raises:
            ConfigError: it said the other before.
        """
        if self.order is not None and self.order[0] != order:
            raise self.refuse(f"says {words!r}, and {self.order[1]!r} before; keep the one that holds", place)
        self.order = self.order or (order, words, place)

    def check_order(self, declared: str) -> None:
        """Refuse a bit order that the file itself contradicts.

        Raises:
            ConfigError: naming the switch.
        """
        if self.order is None:
            return
        order, words, place = self.order
        if order != declared:
            raise self.refuse(
                f"says {words!r}, and hamiltonian.qubit_order is {declared}; "
                f"give hamiltonian.qubit_order={order}, or correct the file",
                place,
            )
        self.notes.append(f"the file says {words!r} too")

    def refuse(self, message: str, place: Place = None) -> ConfigError:
        """An error that names the file, the line where there is one, and what is wrong."""
        line = self.locate(place) if isinstance(place, tuple) else place
        where = f":{line}" if line else ""
        if isinstance(place, tuple) and place and not line:
            where = f", entry {place[-1] + 1}"
        return ConfigError(f"{self.path}{where}: {message}", key=self.key)

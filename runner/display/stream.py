"""The terminal as a reader like any other: closed, full, gone or knowing only ASCII, it takes nothing with it.

What is printed is also cleaned of secrets, wherever it comes from.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import sys
from collections.abc import Iterator
from typing import Any, TextIO

from runner.errors import StorageError
from runner.record.redaction import redact

_CONTROL = re.compile(
    r"(?P<style>\x1b\[(?:[\d;]*m|\?25[lh]|\d*[AK])|\r)"
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)
"""What a terminal obeys; among it what a console writes: colours, the cursor's visibility, the line that changes."""

_ENDS_OF_LINES = re.compile(r"\s*\n\s*")
"""With what is beside them; blanks elsewhere may be those of a file's name."""

_FILLING = re.compile(r" +$", re.MULTILINE)


def printable(text: str, *, styled: bool = False) -> str:
    """`text` with everything that a terminal would obey written out, but for tabs and the ends of lines.

    Args:
        text: what is printed.
        styled: a console made it of values that are written out already, so that colours and the line that changes
            are its own.
    """
    if text.isprintable():
        return text
    return _CONTROL.sub(lambda match: (styled and match["style"]) or repr(match[0])[1:-1], text)


def as_text(value: object) -> str:
    """A value from somebody else's file in one line that a terminal obeys in nothing."""
    text = str(value)
    return (
        text if text.isprintable() else "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)
    )


def error_line(error: Exception) -> str:
    """What is said of an error that was expected, in one line."""
    return as_text("error: " + _ENDS_OF_LINES.sub(" ", str(error).strip()))


class Reader:
    """A text stream that is written to as long as it takes what it is given.

    Args:
        stream: standard output or error; None where the process was started without one.
        forgiving: trouble is passed over in silence, for what is printed is not what was asked for.
    """

    def __init__(self, stream: TextIO | None, *, forgiving: bool = True) -> None:
        self._stream = stream
        self.forgiving = forgiving
        self.clean = True
        """Whether secrets are left out; not where what is printed is data of the user."""

    def write(self, text: str, *, styled: bool = False) -> int:
        """Print some text; `styled` as in `printable`.

        Raises:
            BrokenPipeError: nobody reads it any more, and the stream is not forgiving.
            StorageError: it cannot be written, and the stream is not forgiving.
        """
        with self._passing_over():
            if self._stream is None:
                raise OSError(errno.EBADF, os.strerror(errno.EBADF))
            said = printable(redact(text), styled=styled) if self.clean else text
            try:
                self._hand_over(said)
            except UnicodeEncodeError:
                coding = self._stream.encoding
                self._hand_over(said.encode(coding, "backslashreplace").decode(coding))
        return len(text)

    def _hand_over(self, text: str) -> None:
        """Write all of it: where nothing is buffered, Python's own stream does not look at how much was taken."""
        assert self._stream is not None
        raw = getattr(self._stream, "buffer", None)
        if not isinstance(raw, io.RawIOBase):
            self._stream.write(text)
            return
        rest = text.encode(self._stream.encoding, self._stream.errors or "strict")
        while rest:
            taken = raw.write(rest)
            if taken is None:
                raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
            rest = rest[taken:]

    def flush(self) -> None:
        """Hand over what is waiting; raises what `write` does."""
        with self._passing_over():
            if self._stream is not None:
                self._stream.flush()

    def isatty(self) -> bool:
        """Whether a person looks at it."""
        with contextlib.suppress(ValueError):
            return self._stream is not None and self._stream.isatty()
        return False

    @contextlib.contextmanager
    def _passing_over(self) -> Iterator[None]:
        """Give the stream up at the first trouble."""
        try:
            yield
        except (OSError, ValueError) as error:  # a closed file is a ValueError
            self._give_up()
            if self.forgiving:
                return
            if isinstance(error, BrokenPipeError):
                raise
            told = (getattr(error, "strerror", None) or str(error)).lower()
            raise StorageError(f"the output cannot be written: {told}") from error

    def _give_up(self) -> None:
        """Let what still waits go nowhere, or the interpreter would fail over it at its end."""
        with contextlib.suppress(OSError, ValueError, AttributeError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())  # type: ignore[union-attr]
            os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class Styled:
    """A reader as the file of a console, which alone may colour and move the cursor."""

    def __init__(self, stream: TextIO) -> None:
        self._reader: Any = reader(stream)

    def write(self, text: str) -> int:
        """Print what a console made; in a file or pipe without the blanks that fill a table's last column."""
        if not self._reader.isatty():
            text = _FILLING.sub("", text)
        return int(self._reader.write(text, styled=True))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)


@contextlib.contextmanager
def readers() -> Iterator[Reader]:
    """Standard output and error become readers; yields the first, which is not forgiving until somebody says so."""
    _fill_gaps()
    before = sys.stdout, sys.stderr
    output, errors = Reader(before[0], forgiving=False), Reader(before[1])
    sys.stdout, sys.stderr = output, errors
    try:
        yield output
    finally:
        output.forgiving = True
        output.flush()
        errors.flush()
        sys.stdout, sys.stderr = before


def reader(stream: TextIO) -> TextIO:
    """`stream` as a forgiving reader, for what is printed beside the real work."""
    return stream if isinstance(stream, Reader) else Reader(stream)  # type: ignore[return-value]


def _fill_gaps() -> None:
    """Open descriptors 0 to 2 where they are closed: the next file would get their numbers, and what they are told."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)

"""Readers of operators that other programs and people wrote; each tells a format by its content.

`read` gives the operator and the words that say how it was understood. Nothing is dropped or guessed: what a reader
does not understand it refuses, with the line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.lazy import face

if TYPE_CHECKING:
    from runner.hamiltonian.formats.recognition import read

__all__ = ["read"]

__getattr__ = face(
    __name__,
    {
        "read": "recognition",
    },
)

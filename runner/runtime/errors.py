"""The runner's errors as the client's own, so that code written for the service catches them by either name."""

from __future__ import annotations

import sys
from functools import cache
from typing import Any, TypeVar

from runner.errors import RunnerError

Raised = TypeVar("Raised", bound=RunnerError)


def as_clients(error: Raised, name: str) -> Raised:
    """Make an error one of the client's, too, if the program has imported the client; else nobody can ask for that.

    Args:
        error: What is raised.
        name: The class in `qiskit_ibm_runtime.exceptions` that the client raises in its place.

    Returns:
        The same object.
    """
    exceptions = sys.modules.get("qiskit_ibm_runtime.exceptions")
    theirs = getattr(exceptions, name, None)
    if theirs is not None and not isinstance(error, theirs):
        error.__class__ = _both(type(error), theirs)  # type: ignore[arg-type]  # mypy finds no hash in Type[Raised]
        error.__dict__["message"] = str(error)  # where Qiskit's errors have it
    return error


@cache
def _both(ours: type[RunnerError], theirs: type[Exception]) -> type[Any]:
    """A class that is caught as ours and as theirs, and pickled as ours."""

    def text(self: RunnerError) -> str:
        return Exception.__str__(self)

    def reduced(self: RunnerError) -> tuple[Any, ...]:
        return _plain, (ours, self.args, self.__dict__)

    return type(
        ours.__name__,
        (ours, theirs),
        {"__module__": ours.__module__, "__doc__": ours.__doc__, "__str__": text, "__reduce__": reduced},
    )


def _plain(kind: type[RunnerError], args: tuple[Any, ...], state: dict[str, Any]) -> RunnerError:
    """The error that was pickled, without its client's class."""
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error

"""Everything the runner raises on purpose, and the exit code each ends a process with.

::

    RunnerError                     one line for the user; exit 1
    ├── ConfigError                 what was declared cannot be run; exit 2
    ├── StorageError                the disk refused; exit 5
    │   └── JournalChangedError     a journal is not what was written into it
    ├── JournalError                no journal, not a journal, or another process is writing it; exit 2
    ├── ResumeError                 the past does not repeat itself: code, config or environment changed; exit 2
    ├── TrackingError               tracking.required and it could not be reached; exit 4
    ├── NumericalError              an energy that is not a finite number; exit 1
    ├── TruncationError             a simulation left out more than it may; exit 1
    └── RuntimeSessionError         the session said no
        ├── SessionClosedError      submitting to a session that has ended
        ├── JobFailedError          the result of a job that failed
        │   └── JobMaxTimeError     it ran past its own time limit (code 1305)
        ├── JobCancelledError       the result of a job that was cancelled
        ├── PlanError               the plan does not allow it (code 1352)
        └── UsageLimitError         the instance has used what it may
    Interrupted                     SIGINT, SIGTERM or SIGHUP was seen, between jobs or in one; exit 130, 143 or 129
    ConfigWarning                   runs, but probably not as it was meant (a warning)
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from runner.record.redaction import redact

LONGEST = 380
"""Characters of a refusal; longer ones lose their middle."""

NO_ROOM = "failed to map segment", "cannot allocate memory", "can't start new thread"
"""What is said where there is no memory for a library by the system's loader, and for a thread by Python."""


class RunnerError(Exception):
    """A problem that is told in one line instead of a traceback."""

    exit_code = 1


class ConfigError(RunnerError, ValueError):
    """What was declared cannot be run; `key` is the dotted path of the setting at fault."""

    exit_code = 2

    def __init__(self, message: str, *, key: str | None = None) -> None:
        text = redact(
            f"{key}: {message}" if key else message
        )  # before it is cut: half a secret is known no more
        if len(text) > LONGEST:  # whatever was typed is in it; its ends tell enough
            text = f"{text[: LONGEST // 2]} … {text[-LONGEST // 3 :]}"
        super().__init__(written_out(text))  # a file's bytes may be in it, and a terminal obeys some of them
        self.key = key


def written_out(text: str) -> str:
    """`text` in which a terminal obeys nothing but the ends of lines."""
    return text if text.isprintable() else "".join(map(_escaped, text))


def _escaped(character: str) -> str:
    return character if character.isprintable() or character == "\n" else repr(character)[1:-1]


class StorageError(RunnerError):
    """The output directory cannot be written: full, read-only or gone."""

    exit_code = 5


class JournalChangedError(StorageError):
    """A journal that was written whole has a line that does not follow from those before it."""


class JournalError(RunnerError):
    """A journal is missing, is not a journal, or is being written by another process."""

    exit_code = 2


class ResumeError(RunnerError):
    """A resumed run does something else than its journal says it did."""

    exit_code = 2


class TrackingError(RunnerError):
    """`tracking.required` is set and the tracking store did not take everything."""

    exit_code = 4


class NumericalError(RunnerError):
    """An evaluation gave an energy that is not a finite number, or was asked for at values or angles that are none."""


class TruncationError(RunnerError):
    """A simulation left out more of a state or an operator than was declared that it may.

    `larger` are the settings that let it keep more, as they are typed.
    """

    def __init__(self, message: str, *, larger: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.larger = larger


class RuntimeSessionError(RunnerError):
    """The runtime refused or lost a job; `code` is the Runtime API's error code where it has one.

    `session_ended` says that the session is to blame, so that the same job may go well in another one.
    """

    session_ended = False

    def __init__(self, message: str, *, code: int | None = None, session_ended: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.session_ended = self.session_ended or session_ended


class SessionClosedError(RuntimeSessionError):
    """A job was submitted to a session that no longer accepts any."""

    session_ended = True


class JobFailedError(RuntimeSessionError):
    """The result of a job that failed was asked for."""


class JobMaxTimeError(JobFailedError):
    """The result of a job that ran past its maximum execution time was asked for."""


class JobCancelledError(RuntimeSessionError):
    """The result of a job that was cancelled was asked for."""


class PlanError(RuntimeSessionError):
    """The plan does not allow what was asked (an open plan may not open sessions)."""


class UsageLimitError(RuntimeSessionError):
    """A job was submitted to an instance that has used its seconds of the last 28 days."""


class Interrupted(BaseException):
    """A signal was seen between jobs, or in a long one; never caught by `except Exception`."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum
        self.exit_code = 128 + signum


def out_of_memory(error: BaseException) -> bool:
    """Whether an error came for want of memory, whatever it is called."""
    if isinstance(error, SystemError):  # what Python raises where it had no room for the error it meant
        return not _has_room()
    told = isinstance(error, ImportError | RuntimeError) and str(error).lower()
    return isinstance(error, MemoryError) or bool(told and any(words in told for words in NO_ROOM))


def require_memory(error: BaseException) -> None:
    """Tell an error that came for want of memory as that.

    Raises:
        MemoryError: it did.
    """
    if out_of_memory(error):
        raise MemoryError(str(error)) from error


def _has_room(size: int = 1 << 23) -> bool:
    try:
        return len(bytearray(size)) == size
    except MemoryError:
        return False


@contextlib.contextmanager
def installed(told: str, *, key: str | None = None, why: bool = False) -> Iterator[None]:
    """Import here what may not be installed, or be too old; `told` says what to install, with `why` Python's reason.

    Raises:
        ConfigError: it is not.
        MemoryError: it is, and there was no room for it.
    """
    try:
        yield
    except ImportError as error:
        require_memory(error)
        raise ConfigError(f"{told} ({error})" if why else told, key=key) from error


def in_words(error: BaseException) -> str:
    """What an exception says, on one line, without secrets; another library's with its kind where that tells more."""
    if isinstance(error, RunnerError):
        return redact(str(error))
    if out_of_memory(error):
        return "out of memory"
    said = " ".join(str(getattr(error, "message", error)).split())  # Qiskit's put theirs in quotes
    return redact(f"{type(error).__name__}: {said}") if said else type(error).__name__


class ConfigWarning(UserWarning):
    """What was declared can be run, but probably not as it was meant."""

"""How the runs of a sweep go on that came to the end of their session or of a budget: all with one command."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.declare.composer import restore
from runner.declare.overrides import Overrides
from runner.declare.provenance import typed_again
from runner.display.words import counted
from runner.errors import ConfigError, JournalError
from runner.record.directory import JOURNAL, RunDirectory
from runner.record.events import RunStarted
from runner.record.files import read_object
from runner.record.journal import read_telling
from runner.record.log import first
from runner.run.budget import EXPIRY, LIMITS, larger
from runner.run.execution import resume_command
from runner.run.resume import going_on, repeats_no_time, used_up, with_limits

if TYPE_CHECKING:
    from runner.sweep.directory import SweepDirectory
    from runner.sweep.member import Row

RAISED = "raised.json"
"""What was typed in place of the limits that a sweep was declared with, so that a kill costs none of it."""

REOPEN = f"{EXPIRY}=reopen"


def read_raised(sweep: Path) -> Overrides:
    """The words with which runs of a sweep go on that stopped; none where none was typed.

    Raises:
        ConfigError: the file is damaged.
    """
    path = sweep / RAISED
    try:
        words = read_object(path).get("words")
    except FileNotFoundError:
        return Overrides()
    if isinstance(words, list) and all(isinstance(word, str) for word in words):
        found = Overrides.of(words)
        if all(item.key in LIMITS and not item.sign and not item.swept for item in found):
            return found
    raise ConfigError(f"{path} is damaged; delete it, and type again what was raised")


def together(before: Overrides, typed: Overrides) -> Overrides:
    """What counts once more is typed: of each key the last."""
    return Overrides(tuple({item.key: item for item in (*before, *typed)}.values()))


def write_raised(sweep: Path, raised: Overrides) -> None:
    """Write down what was typed, before any run goes on with it.

    Raises:
        StorageError: the disk refused; what was typed before is untouched.
    """
    RunDirectory(sweep).write(sweep / RAISED, json.dumps({"words": raised.texts}) + "\n")


def check_typed(directory: SweepDirectory, typed: Overrides, plugins: Sequence[str]) -> None:
    """Refuse limits that a run could not be declared with, or by which a row of the table would be wrong.

    Raises:
        ConfigError: which, and what to type instead.
    """
    swept = directory.swept()
    for item in typed:
        if item.sign or item.swept:
            raise ConfigError("give it one value for all runs", key=item.key)
        if item.key in swept:
            raise ConfigError(
                "is what the runs of this sweep differ in; raise it for one by itself: "
                f"{typed_for(directory.shown / 'NUMBER', plugins, item.text)}",
                key=item.key,
            )
        if item.key == EXPIRY and item.value != "reopen":
            raise ConfigError(
                f"can be reopen alone in a resumed sweep, got {item.written}; leave it out", key=EXPIRY
            )
    header = directory.header
    values = with_limits(header["values"], {item.key: item.value for item in typed})
    restore(values, dict(header["schemas"]), plugins=plugins)


def words_for(run: Path, raised: Overrides) -> tuple[str, ...] | None:
    """With which of the words a run goes on that has come to an end; None where it stays as it is.

    One whose journal is damaged is gone on with by none of them, which tells what is the matter with it.
    """
    try:
        return going_on(read_telling(run / JOURNAL), raised)
    except JournalError:
        return ()


def declared_with(values: Mapping[str, Any], raised: Overrides) -> tuple[dict[str, Any], tuple[str, ...]]:
    """What a run that has not begun is declared with, and the words for that: limits that it had are as raised."""
    having = {
        item.text: item
        for item in raised
        if values.get(item.part, {}).get(item.key.partition(".")[2]) is not None
    }
    return with_limits(values, {item.key: item.value for item in having.values()}), (*having,)


def require_effect(
    directory: SweepDirectory, typed: Overrides, words: Collection[str], rows: Sequence[Row]
) -> None:
    """Refuse a limit with which no run goes on.

    Args:
        directory: the sweep.
        typed: what is typed now and was not before.
        words: those with which some run goes on.
        rows: the runs.

    Raises:
        ConfigError: what to type instead.
    """
    for item in typed:
        if item.text not in words:
            told = "; ".join(going_on_in_words(directory, rows))
            more = f"; {told}" if told else ""
            raise ConfigError(f"no run stopped that goes on with {item.written}{more}", key=item.key)


def going_on_in_words(directory: SweepDirectory, table: Sequence[Row]) -> list[str]:
    """How the runs go on that stopped, one line for those that stopped alike, of which the first tells."""
    alike: dict[str, list[Row]] = {}
    for row in table:
        if row["status"] == "stopped":
            alike.setdefault(str(row.get("reason") or "").partition(":")[0], []).append(row)
    return [_in_words(directory, rows) for rows in alike.values()]


def _in_words(directory: SweepDirectory, rows: Sequence[Row]) -> str:
    name = rows[0]["directory"]
    events = read_telling(directory.path / name / JOURNAL)
    started, fact = first(events, RunStarted), used_up(events)
    assert started is not None
    plugins = started.config.get("plugins") or []
    word = Overrides.of([REOPEN if fact is None else larger(fact)])
    together = not directory.header.get("sweeper") and word[0].key not in directory.swept()
    runs = counted(len(rows), "run")
    if together and going_on(events, word):
        what = "with its session" if len(rows) == 1 else "with their sessions"
        what = what if fact is None else f"at {fact.key}"
        go = "goes on" if len(rows) == 1 else "go on"
        again = typed_again(Overrides.of(directory.header["overrides"]))
        return (
            f"{runs} stopped {what} and {go} with: {typed_for(directory.shown, plugins, *again, *word.texts)}"
        )
    more: tuple[str, ...] = () if fact is None else word.texts
    if repeats_no_time(restore(started.config, started.schemas, plugins=plugins).config):
        more = ("--fork",)
    each = "and" if len(rows) == 1 else "each of which"
    return f"{runs} stopped, {each} goes on by itself: {typed_for(directory.shown / name, plugins, *more)}"


def typed_for(path: Path, plugins: Sequence[str], *more: str) -> str:
    """What to type to go on with a run or a sweep."""
    return resume_command(RunDirectory(path), plugins, *more)

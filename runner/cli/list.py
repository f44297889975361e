"""`list [FOLDER…] [limit=20]`: the runs there are, newest first."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.cli.verb import Argument, CommandLine, Verb
from runner.declare.checks import shorten
from runner.display.shell import quoted
from runner.display.stream import as_text
from runner.display.words import (
    NO_SPREAD,
    clock,
    decimals,
    energy_number,
    error_number,
    spreadless,
    without_residue,
)
from runner.errors import ConfigError
from runner.record.directory import JOURNAL, JOURNALS, OUTPUTS
from runner.record.result import taken_in_all

if TYPE_CHECKING:
    from rich.console import Console

VERB = Verb(
    name="list",
    does="the runs below outputs/, newest first",
    arguments=(
        Argument(name="[FOLDER…]", does="where to look; outputs unless said otherwise"),
        Argument(name="[limit=20]", does="runs that are shown"),
    ),
    path="folder",
    paths=(0, None),
    settings=("limit",),
    examples=("list outputs/sweeps limit=50",),
)

LIMIT = 20
"""Runs shown unless more are asked for."""


def main(line: CommandLine) -> int:
    """Print one line per run directory below the given folders (outputs/)."""
    from runner.display.live import terminal

    limit = LIMIT
    for word in line.settings:
        limit = count(word.partition("=")[2])
    folders = [existing(word) for word in line.paths]
    found = sorted(
        (found for folder in folders or [OUTPUTS] for found in dated_runs(folder)),
        key=lambda found: found[0],
        reverse=True,
    )
    if not found:
        print(as_text(f"no runs below {', '.join(map(str, folders or [OUTPUTS]))}"))
        return 0
    show(terminal(), [row(path) for _, path in found[:limit]])
    if len(found) > limit:
        print(f"{len(found) - limit} more; limit={len(found)} shows all")
    return 0


NAMES = ("state", "energy", "error", "true error", "evaluations", "usage", "cost", "run")
"""Columns of the table."""

OR_VALUE = "energy or ⟨O⟩"
"""What the second is called where expectation values of observables, which are no energies, stand in it."""


def show(console: Console, content: Sequence[Sequence[str]]) -> None:
    """Print runs: a table with the path in its last column, or two lines a run where that is too wide.

    A path is one line whatever the width, and quoted where a shell would not take it as it is.
    """
    heading = tuple(OR_VALUE if name == "energy" and _has_values(content) else name for name in NAMES)
    lines = [heading, *(tuple(map(as_text, (*cells, quoted(path)))) for *cells, path in content)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    if sum(widths) + 2 * (len(widths) - 1) <= console.width:
        for cells in lines:
            aligned = [
                padded(cell, width, left=name == "state", last=name == "run")
                for cell, width, name in zip(cells, widths, NAMES, strict=True)
            ]
            printed(console, "  ".join(aligned))
        return
    for cells in lines[1:]:
        printed(console, cells[-1])
        known = dict(zip(NAMES, cells, strict=True))
        said = [
            known["state"],
            known["energy"],
            *(f"{name} {known[name]}" for name in NAMES[2:4] if known[name]),
        ]
        said += [f"{known['evaluations']} evaluations"] if known["evaluations"] else []
        said += [known["usage"], known["cost"]]
        for line in filled([word for word in said if word], console.width - 2):
            printed(console, f"  {line}")


def _has_values(content: Sequence[Sequence[str]]) -> bool:
    return any(cells[NAMES.index("energy")].startswith("⟨") for cells in content)


def padded(cell: str, width: int, *, left: bool, last: bool) -> str:
    """A cell of a table: text to the left, numbers to the right, nothing behind the last column."""
    space = " " * (width - len(cell))
    return cell if last else cell + space if left else space + cell


def filled(words: Sequence[str], width: int) -> Iterator[str]:
    """Words with commas between them, in lines of some width."""
    line = ""
    for word in words:
        if line and len(f"{line}, {word}") > width - 1:
            yield f"{line},"
            line = word
        else:
            line = f"{line}, {word}" if line else word
    yield line


def printed(console: Console, text: str) -> None:
    """Print a line as it is, however long."""
    console.print(text.rstrip(), soft_wrap=True)


def existing(word: str) -> Path:
    """A folder that was named.

    Raises:
        ConfigError: it is none.
    """
    if not Path(word).is_dir():
        raise ConfigError(f"{word} is no directory; name a run directory, or a folder with some")
    return Path(word)


def runs(folder: Path) -> Iterator[Path]:
    """Run directories at or below a folder."""
    return (path for _, path in dated_runs(folder))


def dated_runs(folder: Path) -> Iterator[tuple[float, Path]]:
    """When the journal of each run at or below a folder was written last, and its directory.

    Nothing is remembered from one look to the next, so that nothing is shown that is not so any more: a folder takes
    one look, and those within a run directory none.
    """
    below = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name in JOURNALS and entry.is_file():
                    yield entry.stat().st_mtime, folder
                    return
                if entry.is_dir(follow_symlinks=False):
                    below.append(folder / entry.name)
    except OSError:  # it was removed meanwhile, or is not for us to see
        return
    for one in below:
        yield from dated_runs(one)


def row(path: Path) -> list[str]:
    """A run in one line: state, energy ± σ, error, that of the exact energy there, evaluations, usage, cost, where."""
    from runner.sweep.ranking import true_error

    try:
        found = result(path)
    except ConfigError:  # `watch` says what is the matter with it
        return ["damaged", *[""] * 6, str(path)]
    if not found:
        return [state(path), *[""] * 6, str(path)]
    known = true_error(found) if found.get("energy_kind") == "measured" else None
    energy, stddev = found["energy"], found["stddev"]
    noise = f" ± {stddev:.2g}" if stddev else f" ({NO_SPREAD})" if spreadless(found) else ""
    noise = " (pick)" if found.get("energy_kind") == "pick" else noise
    of = f"⟨{shorten(told, 24)}⟩ " if (told := found.get("observable")) else ""
    return [
        found["status"],
        "" if energy is None else f"{of}{energy_number(energy)}{noise}",
        error_of(found, found["error"]),
        error_of(found, known),
        str(found["evaluations"] or ""),
        clock(taken_in_all(found, "usage_seconds") or 0.0),
        "" if (cost := taken_in_all(found, "cost")) is None else f"{decimals(cost, 2)} USD",
        str(path),
    ]


def result(path: Path) -> dict[str, Any]:
    """The content of result.json; empty where there is none yet, or the run has gone on since.

    Raises:
        ConfigError: it is damaged.
    """
    from runner.record.reading import read_latest

    try:
        return dict(without_residue(read_latest(path / "result.json")))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigError(
            f"{path / 'result.json'} cannot be read: {(error.strerror or '').lower()}"
        ) from error


def state(path: Path) -> str:
    """Whether a run whose journal does not say how it ended is going on."""
    from runner.record.journal import is_open

    return "running" if is_open(path / JOURNAL) else "interrupted"


def error_of(found: Mapping[str, Any], error: float | None) -> str:
    """An energy's distance from what it should have been, in a run's line; empty where it is not known."""
    return "" if error is None else error_number(error, found.get("reference_energy"))


def count(text: str) -> int:
    """How many are to be shown.

    Raises:
        ConfigError: it is no whole number above 0.
    """
    if not text.isdigit() or int(text) < 1:
        raise ConfigError(f"must be a whole number above 0, got {text!r}", key="limit")
    return int(text)

"""Rows of the campaign's table, and the processes that carry out their trials several at a time."""

from __future__ import annotations

import itertools
import multiprocessing
import sys
import traceback
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from tests.faults import searches
from tests.faults.campaign import Campaign, Reference
from tests.faults.kinds import COUNTED, FORKS
from tests.faults.ledger import Ledger, spent
from tests.faults.searches import Facts

WAITING = ("outages", "writers", "tracked", "sweep_workers")
"""Trials that wait for servers and other processes for most of their time."""


@dataclass
class Row:
    """One line of the table."""

    fault: str
    """What is broken."""
    method: str
    """The campaign's method that does one trial."""
    trials: Sequence[tuple[Any, ...]]
    """Arguments of each trial."""
    numbers: list[int] = field(default_factory=list)
    """Which of the trials are wanted."""
    notes: list[str] = field(default_factory=list)
    """What each said that went well."""
    lost: list[str] = field(default_factory=list)
    """What went wrong, each with what is needed to see it again."""
    seconds: float = 0.0
    """Processor time of its trials and of all processes that they waited for."""

    def select(self, name: str | None, number: int | None) -> None:
        """Want only trials of rows whose names contain `name`, and only the one of this number."""
        wanted = name is None or name in self.fault
        self.numbers = [n for n in range(len(self.trials)) if wanted and number in (None, n)]

    @property
    def tried(self) -> int:
        """Trials that were carried out."""
        return len(self.notes) + len(self.lost)


def make_references(campaign: Campaign, cases: Sequence[str], workers: int) -> None:
    """Carry out the unbroken run of each kind, several at a time; those that go on from another one at the end."""
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        made = pool.map(_made, itertools.repeat(campaign), [case for case in cases if case not in FORKS])
        for case, reference in made:
            campaign.keep(case, reference)
    for case in cases:
        campaign.make_reference(case)


def _made(campaign: Campaign, case: str) -> tuple[str, Reference | Facts]:
    """The unbroken run of a kind; in one of the pool's processes."""
    try:
        campaign.make_reference(case)
    except AssertionError as error:
        raise AssertionError(f"the unbroken one of {case}: {error}") from error
    if case in searches.CASES:
        return case, campaign.sweeps[case]
    return case, replace(campaign.references[case], declared=None)


def carry_out(campaign: Campaign, rows: Sequence[Row], workers: int, ledger: Ledger) -> None:
    """Do all trials that are wanted and not in the ledger; one that raises is a loss."""
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        futures = {
            (row.fault, number): pool.submit(_attempt, campaign, row.method, row.trials[number])
            for row, number in spread(rows)
            if ledger.known(row.fault, number) is None
        }
        for row, number in ((each, number) for each in rows for number in each.numbers):
            if (future := futures.pop((row.fault, number), None)) is not None:
                note, error, seconds = future.result()
                ledger.add(row.fault, number, note=note, error=error, seconds=seconds)
            said = ledger.known(row.fault, number)
            assert said is not None
            row.seconds += said["seconds"]
            if said["error"] is None:
                row.notes.append(said["note"])
            else:
                again = f"--seed {campaign.seed} --cases {row.trials[number][0]} --rows {row.fault!r} --trial {number}"
                row.lost.append(f"python -m tests.faults --nightly {again}\n{said['error']}")
                print(row.lost[-1], file=sys.stderr, flush=True)
            if number == row.numbers[-1]:
                told = f"{len(futures)} left {line(row)} {row.seconds:.0f} s of a processor"
                print(told, file=sys.stderr, flush=True)


def spread(rows: Sequence[Row]) -> list[tuple[Row, int]]:
    """All trials that are wanted, in order but for those that wait: spread evenly, others fill their pauses."""
    every = [(row, number) for row in rows for number in row.numbers]
    parts = [[one for one in every if (one[0].method in WAITING) is waits] for waits in (True, False)]
    placed = [((place + 0.5) / len(part), one) for part in parts for place, one in enumerate(part)]
    return [one for _, one in sorted(placed, key=lambda each: each[0])]


def _attempt(campaign: Campaign, method: str, arguments: tuple[Any, ...]) -> tuple[str, str | None, float]:
    """What one trial says, or its traceback, and what it took; in one of the pool's processes."""
    began = spent()
    try:
        return getattr(campaign, method)(*arguments), None, spent() - began
    except Exception:
        return "", traceback.format_exc(), spent() - began


def summary(notes: Sequence[str]) -> str:
    """Add up notes like '2 kills, 1 recomputed'."""
    totals: dict[str, int] = {}
    for note in notes:
        for part in note.split(", "):
            count, _, what = part.partition(" ")
            totals[what] = totals.get(what, 0) + int(count)
    return ", ".join(f"{count} {what}" for what, count in totals.items() if count)


def line(row: Row) -> str:
    """A row in Markdown."""
    return f"| {row.fault} | {row.tried} | {summary(row.notes)} | {len(row.lost) or 'nothing'} |"


def table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table, those that were not tried left out."""
    return "\n".join(
        ["| fault | tried | | lost |", "|---|---|---|---|", *(line(row) for row in rows if row.tried)]
    )


PUBLISHED: dict[str, tuple[tuple[str, ...], str]] = {
    "kill -9 at a random event or moment, inside writes and packing too, several times a run; {kinds} kinds of runs: "
    "every experiment, optimizers of every way to ask, exact, sampled, noisy and mitigated, queues, batches, sessions "
    "that are opened again, a fork": (("kills",), "kills"),
    "Ctrl-C or SIGTERM at a random moment or as a simulation begins, a quarter of them twice, the same kinds": (
        ("signals",),
        "trials",
    ),
    "a run that stops at the end of its session, killed and interrupted before that and, up to six times, while it "
    "goes on": (("stops",), "kills"),
    "disk full, I/O error, read-only at every write of two journals": (("disk",), "trials"),
    "a small disk that is really full, no inode left, read-only, directory deleted or moved": (
        ("full", "crowded", "read_only", "vanishes"),
        "trials",
    ),
    "journal cut or a bit flipped": (("damaged",), "trials"),
    "an energy that is nan or infinite": (("not_a_number",), "trials"),
    "killed while tracked; `sync` killed at every request, to one store and to two": (
        ("tracked", "sync", "sync_elsewhere"),
        "kills",
    ),
    "sweeps and searches (TPE, random, QMC, NSGA-II; with a database and without) killed, their workers and jobs of "
    "submitit killed, their disk full": (("sweep_kills", "sweep_workers", "sweep_full"), "kills"),
    "tracking server late, dying at any request, failing, silent, slow": (("outages",), "outages"),
    "a user without rights reads, resumes and starts": (("another_user",), "trials"),
    "eight processes that meet at a fresh store": (("writers",), "trials"),
    "Aer raises, Aer only says that it failed, a `MemoryError`, at every evaluation of exact, sampled, noisy and "
    "threaded runs, tracked or not": (("engine", "engine_tracked"), "trials"),
    "the process gets no more memory (20 and 22 qubits)": (("starved",), "trials"),
    "little more memory than it has when it begins": (("limited",), "trials"),
    "the clock is set back and forth": (("clock",), "trials"),
}
"""What docs/reliability.md says of rows of the table: their methods, and what is counted."""


def published(rows: Sequence[Row], command: str) -> str:
    """The table of docs/reliability.md, and README's line."""
    kinds = len({row.trials[0][0] for row in rows if row.method == "kills" and row.tried})
    lines = [
        f"`{command}`, {sum(row.tried for row in rows)} trials:",
        "",
        "| fault | tried | lost |",
        "|---|---|---|",
    ]
    for words, (methods, counted) in PUBLISHED.items():
        chosen = [row for row in rows if row.method in methods and row.tried]
        if not chosen:
            continue
        tried = sum(row.tried for row in chosen)
        notes = [note for row in chosen for note in row.notes]
        counts = f"{tried}" if counted == "trials" else f"{tried}, {summary(notes)}"
        if counted == "trials" and (said := summary(notes)):
            counts += f" ({said})"
        lines.append(f"| {words.format(kinds=kinds)} | {counts} | {_lost(chosen)} |")
        if methods == ("kills",):
            lines += counted_together(chosen)
    killed, interrupted = (
        counted_of("kills", [note for row in rows if row.method == method for note in row.notes])
        if method == "kills"
        else sum(row.tried for row in rows if row.method == method)
        for method in ("kills", "signals")
    )
    lost = sum(len(row.lost) for row in rows if row.method in ("kills", "signals"))
    readme = (
        f"* {_grouped(killed)} kills of runs of {kinds} kinds at random moments and {_grouped(interrupted)} "
        f"interruptions lost {lost or 'nothing'}: [docs/reliability.md](docs/reliability.md)."
    )
    return "\n".join([*lines, "", "README:", "", readme])


def counted_together(rows: Sequence[Row]) -> list[str]:
    """Lines of the published table for the kills of kinds of which a number is promised."""
    lines = []
    for words, (kinds, _) in COUNTED.items():
        chosen = [row for row in rows if row.trials[0][0] in kinds]
        notes = [note for row in chosen for note in row.notes]
        if chosen:
            lines.append(f"| of these, {words} | {counted_of('kills', notes)} kills | {_lost(chosen)} |")
    return lines


def _lost(rows: Sequence[Row]) -> int | str:
    """How much these rows lost, in words where it is nothing."""
    return sum(len(row.lost) for row in rows) or "nothing"


def counted_of(what: str, notes: Sequence[str]) -> int:
    """How many of a thing the notes tell of together."""
    parts = (part.split(" ", 1) for note in notes for part in note.split(", "))
    return sum(int(count) for count, name in parts if name == what)


def _grouped(number: int) -> str:
    return f"{number:,}".replace(",", " ")

"""Rows of the campaign's table, and the processes that carry out their trials several at a time."""

from __future__ import annotations

import itertools
import multiprocessing
import resource
import sys
import traceback
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from tests.faults import searches
from tests.faults.campaign import Campaign, Reference
from tests.faults.kinds import FORKS
from tests.faults.searches import Facts


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
    campaign.make_reference(case)
    if case in searches.CASES:
        return case, campaign.sweeps[case]
    return case, replace(campaign.references[case], declared=None)


def carry_out(campaign: Campaign, rows: Sequence[Row], workers: int) -> None:
    """Do all trials that are wanted; one that raises is a loss."""
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        futures = [
            (row, number, pool.submit(_attempt, campaign, row.method, row.trials[number]))
            for row in rows
            for number in row.numbers
        ]
        for done, (row, number, future) in enumerate(futures, 1):
            note, error, seconds = future.result()
            row.seconds += seconds
            if error is None:
                row.notes.append(note)
            else:
                again = f"--seed {campaign.seed} --cases {row.trials[number][0]} --rows {row.fault!r} --trial {number}"
                row.lost.append(f"python -m tests.faults --nightly {again}\n{error}")
                print(row.lost[-1], file=sys.stderr, flush=True)
            if number == row.numbers[-1]:
                said = f"{done}/{len(futures)} {line(row)} {row.seconds:.0f} s of a processor"
                print(said, file=sys.stderr, flush=True)


def _attempt(campaign: Campaign, method: str, arguments: tuple[Any, ...]) -> tuple[str, str | None, float]:
    """What one trial says, or its traceback, and what it took; in one of the pool's processes."""
    began = _spent()
    try:
        return getattr(campaign, method)(*arguments), None, _spent() - began
    except Exception:
        return "", traceback.format_exc(), _spent() - began


def _spent() -> float:
    """Processor time of this process and of all that it waited for."""
    every = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(used.ru_utime + used.ru_stime for used in every)


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

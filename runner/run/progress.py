"""What the terminal shows while a run goes on, and the summary at its end."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from runner.display.live import LiveLine, rows, terminal
from runner.display.words import clock, energy_lines, outside_in_words
from runner.lazy import rich
from runner.record.events import Evaluation, Event, JobCompleted
from runner.run.results import RunResult

if TYPE_CHECKING:
    from rich.console import Console


class Progress(LiveLine):
    """A line that follows the events: evaluation, best energy, session clock, time left where it can be known."""

    def __init__(self, max_evaluations: int | None, *, console: Console | None = None) -> None:
        super().__init__(console)
        self._limit = max_evaluations
        self._evaluations = 0
        self._best: dict[str, float] = {}
        self._clock = 0.0

    def __call__(self, event: Event) -> None:
        """Take note of one event."""
        if isinstance(event, JobCompleted):
            self._clock = max(self._clock, event.finished)
        if not isinstance(event, Evaluation):
            return
        if not self._evaluations:
            # an event that was read from a journal says itself when it was
            self._started = time.monotonic() - (max(time.time() - event.t, 0.0) if event.t else 0.0)
        self._evaluations += 1
        self._best[event.workload] = event.best
        self.draw()

    def expect(self, max_evaluations: int | None) -> None:
        """Say how many evaluations there will be at most."""
        self._limit = max_evaluations

    def line(self, now: float) -> str:
        """The progress line at a moment of the monotonic clock."""
        of = f"/{self._limit}" if self._limit else ""
        best = "  ".join(
            f"best {energy:.6f}" if len(self._best) == 1 else f"{name} {energy:.6f}"
            for name, energy in self._best.items()
        )
        text = f"evaluation {self._evaluations}{of}  {best}  session {clock(self._clock)}"
        if self._limit and self._evaluations > 1 and not self._over:
            left = (now - self._started) / self._evaluations * (self._limit - self._evaluations)
            text += f"  at most {clock(max(left, 0))} left"
        return text


def summary(
    result: RunResult,
    sessions: Sequence[Mapping[str, Any]],
    tracking: str,
    *,
    unit: str | None,
    read: str | None = None,
    idle: str | None = None,
    simulation: str | None = None,
    exact: bool = False,
) -> None:
    """Print the table at the end: what was found, how far from the truth, what it cost, where it lies.

    Args:
        result: what came out.
        sessions: those of session.json.
        tracking: what is said of MLflow.
        unit: what energies are in.
        read: how the file of the Hamiltonian was understood.
        idle: what becomes of qubits that wait; None where nothing is noisy.
        simulation: how noise or branches were simulated, and why; None where there were none.
        exact: the values have no standard errors, and none is printed.
    """
    console = terminal()
    table = rich.table.Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    table.add_row("experiment", f"{result.experiment}: {result.status} ({result.stop_reason})")
    if read:
        table.add_row("hamiltonian", read)
    for name, value, note in energy_lines(vars(result), unit):
        table.add_row(name, f"{value:<22}{note}".rstrip())
    if result.parameter_names and not all("[" in name for name in result.parameter_names):
        table.add_row("parameters", _by_name(result.parameter_names, result.parameters))
    words = outside_in_words(
        result.outside_sector, error=result.error, stddev=result.stddev, note=result.reference_note
    )
    if words:
        table.add_row("sector", words)
    if idle is not None:
        table.add_row("noise", f"idle qubits {idle}")
    if simulation is not None:
        table.add_row("simulated", simulation)
    table.add_row("evaluations", f"{result.evaluations} in {result.iterations} iterations")
    for name, words in session_lines(sessions):
        table.add_row(name, words)
    cost = f", {result.cost:.2f} USD on the declared plan" if result.cost is not None else ""
    table.add_row("usage", f"{clock(result.usage_seconds)} of the session's clock{cost}")
    table.add_row("took", clock(result.wall_seconds))
    table.add_row("files", str(result.directory))
    if tracking:
        table.add_row("tracking", tracking)
    console.print(table)
    if result.table:
        console.print(rows(_without_spreads(result.table) if exact else result.table))


def session_lines(sessions: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """A line on each session; on more than three one, with how often each ended in which way, and the last."""
    told = [f"{session['status'].lower()}: {session['reason']}" for session in sessions]
    if len(sessions) <= MOST_SESSIONS:
        return [("session", f"{one['id']}  {how}") for one, how in zip(sessions, told, strict=True)]
    before = "; ".join(f"{count} {how}" for how, count in Counter(told[:-1]).items())
    return [("sessions", f"{len(sessions)}: {before}; the last, {sessions[-1]['id']}, {told[-1]}")]


MOST_SESSIONS = 3
"""Sessions that have a line each."""


def _by_name(names: Sequence[str], values: Sequence[float]) -> str:
    """Parameters as `a=0.1  b=0.2`; many end in how many there are."""
    told = [f"{name}={value:.6g}" for name, value in zip(names, values, strict=True)]
    return "  ".join(told[:MOST_PARAMETERS] + [f"… {len(told)} in all"] * (len(told) > MOST_PARAMETERS))


MOST_PARAMETERS = 16
"""Parameters that are printed by name."""


def _without_spreads(content: list[dict[str, object]]) -> list[dict[str, object]]:
    return [{name: row[name] for name in row if name.split()[-1] != "stddev"} for row in content]

"""What the terminal shows while a run goes on, and the summary at its end."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from runner.display.live import LiveLine, rows, terminal, value_console
from runner.display.stream import as_text
from runner.display.words import (
    but_for_residue,
    clock,
    counted_up,
    counts,
    decimals,
    energy_lines,
    energy_number,
    grouped,
    is_sampled,
    outside_in_words,
    truncation_in_words,
    without_residue,
)
from runner.lazy import np, rich
from runner.record.events import Evaluation, Event, Iteration, JobCompleted
from runner.record.quantity import ENERGY
from runner.run.results import RunResult
from runner.runtime.results import DISTANCE, LEFT_OUT, TRUNCATION
from runner.runtime.threads import Background

if TYPE_CHECKING:
    from rich.console import Console

    from runner.runtime.plan import Plan


SILENT = 1.0
"""Seconds after which something that takes longer is named."""

PATIENT = 10.0
"""Seconds without a word after which it is said that something goes on still."""

AGREEING = 3
"""Jobs in a row that have to take alike, before it is said how long all will take."""

LITTLE = 0.2
"""Share of the time that passed below which the processor was not here, but in another process of the run's."""

ALIKE = 2.0
"""Most by which the slowest of them may exceed the quickest, as a factor."""

LONG = 60.0
"""Seconds that a run may take without that being said at its start."""


class Preparing:
    """Says on standard error what is prepared, where that takes longer than a second: a line for each such part.

    Args:
        quiet: never.
        console: where to, in place of standard error.
    """

    def __init__(self, *, quiet: bool, console: Console | None = None) -> None:
        self._quiet = quiet
        self._console = console
        self._doing = "reading the declaration", time.monotonic()
        """What, and since when: read by another thread, so changed in one."""
        self._over = threading.Event()
        self._thread: Background | None = None

    def __call__(self, stage: str) -> None:
        """Take note of what is done from now on."""
        self._doing = stage, time.monotonic()

    def __enter__(self) -> Self:
        if not self._quiet:
            self._thread = Background(self._watch).start()
        return self

    def __exit__(self, *exit_details: object) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join()

    def _watch(self) -> None:
        told, again = "", PATIENT
        while not self._over.wait(SILENT / 10):
            stage, since = self._doing
            taken = time.monotonic() - since
            if stage != told and taken >= SILENT:
                self._say(f"{stage} …")
                told, again = stage, PATIENT
            elif stage == told and taken >= again:
                self._say(f"{stage} … {clock(taken)} so far")
                again *= 2

    def _say(self, text: str) -> None:
        console = self._console or value_console(sys.stderr)
        console.print(text, highlight=False, markup=False, soft_wrap=True)


def counting(passed: float, processor: float) -> float:
    """Seconds that count: the processor's, or those that passed where it waited or worked in several places.

    Other programs that run at the same time make the first fewer than the second.
    """
    return passed if processor < LITTLE * passed else min(passed, processor)


class EvaluationPace:
    """What an evaluation takes, by the jobs after the first, with which circuits are compiled."""

    def __init__(self) -> None:
        self.seconds = 0.0
        """Of all jobs after the first."""
        self._latest: deque[float] = deque(maxlen=AGREEING)
        self._began: tuple[float, float] | None = None
        self._taken = 0.0
        self._count = 0
        self._job = False

    def job(self) -> None:
        """Take note that a job is over: the next evaluations are its."""
        self._job = True

    def evaluation(self, now: float, processor: float) -> None:
        """Take note of an evaluation at `now`, when the processor has been here for `processor`, in seconds."""
        if self._job or self._began is None:
            if self._count and self._taken:
                self._latest.append(self._taken / self._count)
                self.seconds += self._taken
            before = self._began
            self._taken = 0.0 if before is None else counting(now - before[0], processor - before[1])
            self._began, self._count, self._job = (now, processor), 0, False
        self._count += 1

    @property
    def usual(self) -> float | None:
        """Seconds of an evaluation; None as long as the latest jobs do not agree."""
        latest = self._latest
        if len(latest) < AGREEING or max(latest) > ALIKE * min(latest):
            return None
        return sum(latest) / len(latest)


class Progress(LiveLine):
    """A line that follows the events: evaluation, best energy, session clock, time left where it can be known.

    Where nothing is evaluated it has jobs, and the iterations of what is computed from them.

    Args:
        max_evaluations: how many there will be at most.
        console: where to, in place of standard error.
        own: the run is this process's, so that it can be known what an evaluation takes.
        rounding: what may be left of an energy that is 0, where that is known.
        quantity: what is evaluated, where that is no energy.
    """

    def __init__(
        self,
        max_evaluations: int | None,
        *,
        console: Console | None = None,
        own: bool = True,
        rounding: float | None = None,
        quantity: str | None = None,
    ) -> None:
        super().__init__(console)
        self.expect(max_evaluations, rounding=rounding, quantity=quantity)
        self._own = own
        self._pace = EvaluationPace()
        self._evaluations = self._jobs = 0
        self._best: dict[str, float] = {}
        self._step: Iteration | None = None
        self._clock = 0.0
        self._first = self._told = self._started
        self._warned = False
        self._ended = threading.Event()
        self._heart: Background | None = None

    def __enter__(self) -> Self:
        super().__enter__()
        if self._cell is None:  # which would be that of another cell after a while
            self._heart = Background(self._beat).start()
        return self

    def __exit__(self, *exit_details: object) -> None:
        self._ended.set()
        if self._heart is not None:
            self._heart.join()
        super().__exit__(*exit_details)

    def _beat(self) -> None:
        """Show the line also while an evaluation takes long."""
        again = PATIENT
        while not self._ended.wait(SILENT):
            silent = time.monotonic() - max(self._shown, self._told)
            if silent < PATIENT / 2:
                again = PATIENT
            elif silent >= again or self._live is not None:
                again *= 2
                self.draw()

    def __call__(self, event: Event) -> None:
        """Take note of one event."""
        if isinstance(event, JobCompleted):
            self._clock = max(self._clock, event.finished)
            self._jobs += 1
            self._pace.job()
        if isinstance(event, Iteration) and not self._evaluations:
            self._step, self._told = event, time.monotonic()
            self.draw()
        if not isinstance(event, Evaluation):
            return
        if not self._evaluations:
            # an event that was read from a journal says itself when it was
            self._started = time.monotonic() - (max(time.time() - event.t, 0.0) if event.t else 0.0)
        self._evaluations += 1
        self._best[event.workload] = event.best
        self._told = time.monotonic()
        if self._own and not self._warned:
            self._pace.evaluation(self._told, time.process_time())
            self._warn()
        self.draw()

    def _warn(self) -> None:
        """Say once, as soon as that is known, that the run takes longer than a minute."""
        limit, seconds = self._limit, self._pace.usual
        if limit is None or seconds is None or self._pace.seconds < SILENT:
            return
        self._warned = True
        left = seconds * (limit - self._evaluations)
        if left > LONG:
            self.say(
                f"this takes up to {clock(left)} here: {clock(seconds)} an evaluation, at most {limit}; "
                "Ctrl-C ends it with what it has, and it can be resumed"
            )

    def expect(
        self, max_evaluations: int | None, *, rounding: float | None = None, quantity: str | None = None
    ) -> None:
        """Say how many evaluations of what there will be at most, and what may be left of one that is 0."""
        self._limit, self._rounding = max_evaluations, rounding or 0.0
        self._called = "" if quantity in (None, ENERGY) else f"{quantity} "

    def _energy(self, energy: float) -> str:
        return energy_number(but_for_residue(energy, self._rounding))

    def line(self, now: float) -> str:
        """The progress line at a moment of the monotonic clock."""
        if not (self._evaluations or self._clock or self._step):
            return f"no result yet after {clock(now - self._first)}"
        if not (self._evaluations or self._limit):
            jobs = f"job {self._jobs}  " if self._jobs else ""
            return f"{jobs}{self._iteration()}session {clock(self._clock)}"
        of = f"/{self._limit}" if self._limit else ""
        best = "  ".join(
            f"best {self._called}{self._energy(energy)}"
            if len(self._best) == 1
            else f"{name} {self._called}{self._energy(energy)}"
            for name, energy in self._best.items()
        )
        text = f"evaluation {self._evaluations}{of}  {best}  session {clock(self._clock)}"
        if self._limit and self._evaluations > 1 and not self._over:
            left = (now - self._started) / self._evaluations * (self._limit - self._evaluations)
            text += f"  at most {clock(max(left, 0))} left"
        return text

    def _iteration(self) -> str:
        if self._step is None:
            return ""
        energy = "" if self._step.energy is None else f": {self._energy(self._step.energy)}"
        return f"iteration {self._step.iteration}{energy}  "


class LeftOut:
    """Follows the events for what simulations left out of states and operators."""

    def __init__(self) -> None:
        self._largest: dict[str, float] = {}
        self._known: dict[tuple[str, str], float] = {}

    def __call__(self, event: Event) -> None:
        """Take note of one event."""
        if isinstance(event, JobCompleted) and event.result is not None:
            for numbers in event.result:
                for name in LEFT_OUT:
                    if name in numbers:
                        largest = float(np.max(numbers[name], initial=0.0))
                        self._largest[name] = max(self._largest.get(name, 0.0), largest)
                        own = event.workload, name
                        self._known[own] = max(self._known.get(own, 0.0), largest)

    def error(self, workload: str) -> float | None:
        """By how much any expectation value of a workload's jobs may be wrong; None where nothing could be left out."""
        return self._known.get((workload, TRUNCATION))

    def distance(self, workload: str) -> float | None:
        """By how much the probability of any event in a workload's samples may be wrong; None likewise."""
        return self._known.get((workload, DISTANCE))

    @property
    def largest(self) -> dict[str, float] | None:
        """The largest weight, error and distance of all jobs, by name; None where nothing could be left out."""
        return {LEFT_OUT[name]: value for name, value in self._largest.items()} or None


def summary(
    result: RunResult,
    sessions: Sequence[Mapping[str, Any]],
    tracking: str,
    *,
    unit: str | None,
    read: str | None = None,
    idle: str | None = None,
    simulation: str | None = None,
    chosen: str | None = None,
    shots: str | None = None,
    exact: bool = False,
    plan: Plan | None = None,
    again: str | None = None,
    session_over: bool = False,
    partly: bool = False,
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
        chosen: the device that was chosen for the circuit, and why; None where it was declared.
        shots: what the jobs took of every basis; None where all have as many.
        exact: the values have no standard errors, and none is printed.
        plan: what the usage is paid by.
        again: the command that goes on with a run that has not come to its end.
        session_over: it has not because its session ended.
        partly: it was interrupted before all that is recorded was repeated, so that its totals are too small.
    """
    console = terminal()
    table = rich.table.Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    table.add_row("experiment", f"{result.experiment}: {result.status} ({result.stop_reason})")
    if read:
        table.add_row("hamiltonian", read)
    for name, value, note in energy_lines(vars(result), unit):
        table.add_row(name, f"{value:<21} {note}".rstrip())
    if result.parameter_names and not all("[" in name for name in result.parameter_names):
        table.add_row("parameters", _by_name(result.parameter_names, result.parameters))
    words = outside_in_words(
        result.outside_sector, error=result.error, stddev=result.stddev, reference=result.reference_energy,
        note=result.reference_note, sampled=bool(is_sampled(vars(result))), rounding=result.rounding,
    )  # fmt: skip
    if words:
        table.add_row("sector", words)
    if idle is not None:
        table.add_row("noise", f"idle qubits {idle}")
    if simulation is not None:
        table.add_row("simulated", simulation)
    if result.truncation is not None and (lost := truncation_in_words(result.truncation, result.energy)):
        table.add_row("left out", lost)
    if chosen is not None:
        table.add_row("chosen", chosen)
    if shots is not None:
        table.add_row("shots", shots)
    if result.mitigation is not None:
        for name, words in mitigation_lines(result.mitigation):
            table.add_row(name, words)
    for name, value, remark in counts(vars(result)):
        table.add_row(name, f"{value} {remark}".rstrip())
    for name, words in session_lines(sessions):
        table.add_row(name, words)
    if partly:
        table.add_row("usage", "not told: it was interrupted while it repeated the jobs that are recorded")
    else:
        table.add_row("usage", usage_in_words(result))
        if result.cost is not None:
            table.add_row("price", price_in_words(result.cost, plan))
        if result.measured_before is not None:
            table.add_row("earlier", earlier_in_words(result))
    table.add_row("took", clock(result.wall_seconds))
    if again and session_over and result.status != "failed":
        table.add_row(
            "going on", "opens another session, and one more whenever that ends, until the run has finished"
        )
    console.print(table)
    copied = {"files": str(result.directory), "tracking": tracking, "go on with": again}
    for name, copy in copied.items():  # whatever the width, in one line that can be copied
        if copy:
            line = rich.text.Text.assemble((f"{name:<{LABELS}}", "bold"), as_text(copy))
            console.print(line, soft_wrap=True, highlight=False)
    if result.table:
        shown = counted_up(without_residue(vars(result))["table"], result.evaluations)
        console.print(rows(_without_spreads(shown) if exact else shown))


def usage_in_words(result: RunResult) -> str:
    """What the run is charged for, and what the QPU did in that time."""
    seconds = result.usage_seconds
    words = [f"{seconds:.1f} s charged" + (f" ({clock(seconds)})" if seconds >= 60 else "")]
    if result.qpu_seconds is not None:
        all_of_it = f"{result.qpu_seconds:.1f}" == f"{seconds:.1f}"
        words.append("all of it on the QPU" if all_of_it else f"{result.qpu_seconds:.1f} s on the QPU")
    words += [] if result.shots is None else [f"{grouped(result.shots)} shots"]
    return "; ".join(words)


def earlier_in_words(result: RunResult) -> str:
    """What measuring results took before the run went on, and the price of all together."""
    told = result.measured_before
    assert told is not None
    shots, more = grouped(told["shots"]), f"{told['usage_seconds']:.1f}"
    if float(more) == 0:
        seconds = f"{told['qpu_seconds']:.1f}"
        return f"{seconds} s on the QPU and {shots} shots more, charged with their session: measured where it stopped"
    words = f"{more} s charged more, {shots} shots: measured where it stopped"
    if result.cost is not None:
        words += f"; {decimals(result.cost + told['cost'], 2)} USD together"
    return words


def price_in_words(cost: float, plan: Plan | None) -> str:
    """USD, the plan, and what it takes for a second."""
    if plan is None:
        return f"{decimals(cost, 2)} USD"
    return f"{decimals(cost, 2)} USD: {plan.name} plan, {plan.price_per_second:g} USD a second"


def fit_in_words(extrapolation: Mapping[str, Any]) -> str:
    """By what fit a value was extrapolated, what the others give, and that its bar is of the points, not of the fit."""
    chosen, places = str(extrapolation["extrapolator"]), extrapolation["extrapolated_noise_factors"]
    others = [
        f"{name} gives {energy_number(values[places.index(0)])}"
        for name, values in extrapolation["fits"].items()
        if name != chosen and name != "fallback" and 0 in places and values[places.index(0)] is not None
    ]
    return "; ".join([f"{chosen}; ± does not count what the fit itself is off by", *others])


def mitigation_lines(told: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What was done against errors, and what it added."""
    lines = [("mitigation", str(told["setting"]))]
    if told.get("raw") is not None:
        lines.append(
            (
                "  raw",
                f"{energy_number(told['raw'])} as read, "
                f"{energy_number(told['mitigated'])} ± {_error_in_words(told)} after",
            )
        )
    if (fits := told.get("extrapolation")) is not None:
        lines.append(("  fit", fit_in_words(fits)))
    if told.get("sampling_overhead") is not None:
        gain = told["noise_gain"]
        left = (
            "" if gain == 0 else f", {gain:.3g} of the noise is left" if gain < 1 else ", all noise is left"
        )
        if "mitigated" in told:
            value = f"{energy_number(told['mitigated'])} ± {_error_in_words(told)}, "
        elif (share := told["learned_stddev"]) is None:
            value = "the noise that was learned is taken for exact, "
        else:
            value = f"± {share:.2g} at most by the noise that was learned, "
        lines.append(("  cancelled", f"{value}γ² = {told['sampling_overhead']:.4g}{left}"))
    if (learned := told.get("learning")) is not None:
        lines.append(("  learned", learned_in_words(learned)))
    if told["qpu_seconds"] is not None:
        price = "" if told["cost"] is None else f", {decimals(told['cost'], 2)} USD"
        lines.append(("  added", f"{clock(told['qpu_seconds'])} on the QPU{price}"))
    return lines


def _error_in_words(told: Mapping[str, Any]) -> str:
    """The standard error, and what of it is that of noise that was learned."""
    error = f"{told['stddev']:.2g}"
    if "learned_stddev" not in told:
        return error
    share = told["learned_stddev"]
    if share is None:
        return f"{error} (the noise that was learned is taken for exact)"
    return f"{error} ({share:.2g} of it by the noise that was learned)"


def learned_in_words(told: Mapping[str, Any]) -> str:
    """Layers whose noise was learned, and what that took, as `2 layers: cz(3,4), cz(4,5); 1 min 40 s on the QPU`."""
    layers = list(told["layers"])
    price = "" if told["cost"] is None else f", {decimals(told['cost'], 2)} USD"
    more = f" … {len(layers)} in all" if len(layers) > MOST_LAYERS else ""
    return (
        f"noise of {', '.join(layers[:MOST_LAYERS])}{more}; {clock(told['qpu_seconds'])} on the QPU, "
        f"{grouped(told['shots'])} shots{price}"
    )


MOST_LAYERS = 4
"""Layers that a line names."""


def session_lines(sessions: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """A line on each session; on more than three one, with how often each ended in which way, and the last."""
    told = [_once(session["status"].lower(), str(session["reason"])) for session in sessions]
    if len(sessions) <= MOST_SESSIONS:
        return [("session", f"{one['id']}  {how}") for one, how in zip(sessions, told, strict=True)]
    before = "; ".join(f"{count} {how}" for how, count in Counter(told[:-1]).items())
    return [("sessions", f"{len(sessions)}: {before}; the last, {sessions[-1]['id']}, {told[-1]}")]


LABELS = 13
"""Characters that the names of the summary's lines take."""

MOST_SESSIONS = 3
"""Sessions that have a line each."""


def _once(status: str, reason: str) -> str:
    """`closed: maximum time reached`, and `closed by close()` without saying it twice."""
    return reason if reason.lower().startswith(status) else f"{status}: {reason}"


def _by_name(names: Sequence[str], values: Sequence[float]) -> str:
    """Parameters as `a=0.1  b=0.2`; many end in how many there are."""
    told = [f"{name}={value:.6g}" for name, value in zip(names, values, strict=True)]
    return "  ".join(told[:MOST_PARAMETERS] + [f"… {len(told)} in all"] * (len(told) > MOST_PARAMETERS))


MOST_PARAMETERS = 16
"""Parameters that are printed by name."""


def _without_spreads(content: list[dict[str, object]]) -> list[dict[str, object]]:
    told = {name for row in content for name in row if name.split()[-1] != "stddev" or row[name]}
    return [{name: row[name] for name in row if name in told} for row in content]

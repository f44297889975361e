"""What a run takes on this computer: its first jobs are carried out, timed, and multiplied by what a forecast counts.

Nothing is written. Time is the processor's where that is less than what passed, so that other programs which run at the
same time do not count; with several threads it is what passed.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from runner.display.words import clock
from runner.engine.engine import Engine
from runner.engine.memory import peak_bytes
from runner.errors import RunnerError
from runner.optimizer import StopOptimization
from runner.record.interruption import unwatch, watch
from runner.run.preflight import Preparation
from runner.run.progress import counting
from runner.run.signals import StopFlag
from runner.whatif.rehearsal import ForecastLab, Notes

if TYPE_CHECKING:
    from runner.declare.config import RunConfig
    from runner.whatif.forecast import Forecast

ENOUGH = 1.0
"""Seconds of jobs after the first that are timed."""

PATIENCE = 20.0
"""Seconds after which a job is given up, and the run is known to take longer than that."""

QUICK = 0.02
"""Seconds a point below which whole jobs are timed, not one point: what passes between them counts, too."""

JOURNAL = 4e-4
"""Seconds that writing a job and what follows from it takes, which is not tried here."""

CLOSING = 0.8
"""Seconds for figures, report and files at the end."""


@dataclass(frozen=True, kw_only=True)
class Effort:
    """Time and memory on this computer."""

    seconds: float
    """For the whole budget, from the command to its end."""
    usual_seconds: float | None
    """For what it usually takes; None where that is not known, or as much."""
    memory: int
    """Bytes of main memory that the process has at its peak."""
    at_least: bool
    """A job was given up, so that it is known only what it takes at the least."""
    afterwards: float = 0.0
    """What is computed from the results of the jobs takes so many seconds more at most; 0 if it is in `seconds`."""
    allowed: float | None = None
    """Seconds that `run.max_compute_time` allows; None where nothing is declared."""

    @property
    def fits(self) -> bool:
        """It is known not to take longer than what is allowed."""
        longest = self.seconds + self.afterwards
        return self.allowed is None or not (self.at_least or longest > self.allowed)


class _Enough(BaseException):
    """What is timed has taken long enough."""


class _Watch:
    """Seconds since it was made: the processor's, or those that passed where it worked in several places."""

    def __init__(self) -> None:
        self._wall, self._processor = time.monotonic(), time.process_time()

    @property
    def passed(self) -> float:
        """Seconds by a clock on the wall."""
        return time.monotonic() - self._wall

    @property
    def seconds(self) -> float:
        """Seconds that count."""
        return counting(self.passed, time.process_time() - self._processor)


@dataclass
class _Timed:
    """Seconds and parameter sets of what was carried out."""

    first: tuple[float, float] | None = None
    """The first, with whatever has to be compiled for it; None where it was given up."""
    then: tuple[float, float] = (0.0, 0.0)
    """What came after it."""
    ended: bool = False
    """That was all."""
    given_up: bool = False
    """It was cut short, by patience and not by what is enough, so that what follows is not known."""


class _TimedLab(ForecastLab):
    """A lab in which jobs are carried out until enough are timed."""

    trying: ClassVar[bool] = True

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.watch = _Watch()
        self.timed = _Timed()
        self.enough = False

    def execute(self, workload: str, *what: Any) -> Any:
        """Carry out one job."""
        if self.timed.then[1] and self._look() > ENOUGH:  # with what was computed from the job before
            self.enough = True
            raise _Enough
        found = super().execute(workload, *what)
        self._look()
        return found

    def _look(self) -> float:
        """Seconds since the first job, which are kept with the parameter sets."""
        notes = self.record
        assert isinstance(notes, Notes)
        sets, seconds = notes.total().sets, self.watch.seconds
        if self.timed.first is None:
            self.timed.first = seconds, sets
        first = self.timed.first
        self.timed.then = seconds - first[0], sets - first[1]
        return self.timed.then[0]


def effort(
    config: RunConfig, found: Forecast, *, starting: float, patience: float = PATIENCE
) -> Effort | None:
    """Try how long a forecast run takes here; None where it cannot be tried, or does its work elsewhere.

    Args:
        config: the declaration.
        found: its forecast.
        starting: seconds until the first job, as the forecast took them.
        patience: seconds after which a job is given up.
    """
    if not config.backend.simulated:
        return None
    session = replace(config.session, clock="virtual", max_time=None, max_usage=None, max_cost=None)
    optimizer = replace(config.optimizer, max_shots=None)
    changed = replace(
        config, session=session, optimizer=optimizer, estimator=config.estimator.without_job_limit()
    )
    preparation = Preparation(changed, engine_factory=Engine, limits=session.limits.unlimited())
    timed = _point(preparation, patience)
    if timed is None or (timed.first is not None and timed.then[0] < QUICK):
        before = timed
        try:
            timed = _jobs(changed, preparation, patience)
        except RunnerError:
            return None
        if before is not None and before.first is not None and timed.first is not None:
            compiling = before.first[0] - before.then[0]
            timed.first = timed.first[0] + compiling, timed.first[1]
    reckoned = _reckoned(config, found, timed, starting=starting, patience=patience)
    if timed.ended:
        return reckoned
    return replace(reckoned, afterwards=config.experiment.seconds_afterwards(preparation.prepared))


def _point(preparation: Preparation, patience: float) -> _Timed | None:
    """The energy at the starting point, twice; None where there is no such circuit."""
    problem, planner = preparation.problem, preparation.backend.planner
    if problem is None or planner is None or not problem.ansatz.num_parameters:
        return None
    plan = planner.estimator_plan(problem.circuit, problem.observable)
    exact = preparation.config.estimator.precision == 0
    shots = None if exact else preparation.first_shots(plan)
    timed = _Timed()
    with _patience(patience):
        for seed in (1, 2):
            clock = _Watch()
            plan.run(problem.initial_point, shots=shots, seed=seed)
            if timed.first is None:
                timed.first = clock.seconds, 1.0
            timed.then = clock.seconds, 1.0
    return timed


def _jobs(config: RunConfig, preparation: Preparation, patience: float) -> _Timed:
    """The run's first jobs, each with what passes between it and the one before."""
    with StopFlag() as stop:
        lab = preparation.lab(Notes(), stop, _TimedLab)
        with _patience(patience), lab:
            config.experiment.run(lab)
            lab.timed.ended = True
    timed: _Timed = lab.timed
    timed.given_up = not (timed.ended or lab.enough) and lab.watch.seconds > patience
    return timed


@contextlib.contextmanager
def _patience(seconds: float) -> Iterator[None]:
    """Give up what takes too long."""
    clock = _Watch()

    def give_up() -> None:
        if clock.seconds > seconds:
            raise _Enough

    watch(give_up)
    try:
        with contextlib.suppress(_Enough, StopOptimization):
            yield
    finally:
        unwatch(give_up)


def _reckoned(
    config: RunConfig, found: Forecast, timed: _Timed, *, starting: float, patience: float = PATIENCE
) -> Effort:
    first, sets_first = timed.first or (patience, max(1.0, found.parameter_sets))
    seconds, sets = timed.then
    each = seconds / sets if sets else first / max(sets_first, 1.0)

    def whole(evaluations: float, jobs: float) -> float:
        share = evaluations / found.evaluations if found.evaluations else 1.0
        rest = max(0.0, found.parameter_sets * share - sets_first) * each
        if timed.ended and sets_first + sets >= found.parameter_sets * share:
            rest = seconds
        here = starting + first + rest + jobs * JOURNAL + CLOSING
        if timed.given_up:
            here = max(here, starting + patience)
        if config.session.clock == "wall":
            here = max(here, found.wall_seconds * share / config.session.clock_scale)
        return here

    usual = found.usual
    return Effort(
        seconds=whole(found.evaluations, found.jobs),
        usual_seconds=None if usual is None else whole(usual.evaluations, usual.jobs),
        memory=peak_bytes(),
        at_least=timed.first is None or timed.given_up,
        allowed=config.run.max_compute_seconds,
    )


def in_words(found: Effort) -> str:
    """`about 3 min 20 s, 45 s as it usually ends; 0.4 GB of memory`."""
    words = f"{'more than' if found.at_least else 'about'} {clock(found.seconds)}"
    if found.usual_seconds is not None and not found.at_least:
        words += f", {clock(found.usual_seconds)} where it ends as usual"
    if found.afterwards:
        words += f", and up to {clock(found.afterwards)} more for what is computed from the results"
    words += f"; {found.memory / 1e9:.2g} GB of memory"
    if found.allowed is None:
        return words
    return f"{words}; {clock(found.allowed)} are allowed: {'fits' if found.fits else 'refused'}"

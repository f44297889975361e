"""What a run would take, before anything runs: the declared program rehearsed on made-up numbers.

The rehearsal is the run itself (the same experiment, optimizer, session machine, cost model and virtual clock) with
every simulation replaced by a smooth function of the parameters that costs nothing. An optimizer that is satisfied
early is started again until its budget is used up, so a forecast says what the whole budget takes; a run that
converges before takes less. How much less only its landscape tells: small circuits are tried, see `_usual`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from runner.declare.config import Declaration, RunConfig
from runner.display import markup
from runner.display.words import clock, grouped
from runner.errors import RunnerError
from runner.optimizer import StopOptimization
from runner.run.budget import in_words
from runner.run.choice import settled
from runner.run.mitigation import Added
from runner.run.preflight import Preparation
from runner.run.progress import mitigation_lines
from runner.run.signals import StopFlag
from runner.runtime.plan import PLANS
from runner.whatif.effort import Effort
from runner.whatif.effort import in_words as effort_in_words
from runner.whatif.usual import Usual, recorded, rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from runner.services.protocol import Planner


COMPUTER = "on this computer"
"""The line that tells what a run takes here, which is tried after all others are known."""


@dataclass(frozen=True, kw_only=True)
class Limit:
    """Something that may end a run before its budget is used up."""

    name: str
    """Its key, or the plan's limit in words."""
    allowed: float
    """What it allows, in its unit."""
    needed: float
    """What the whole budget needs."""
    unit: str
    """Unit of both."""

    @property
    def fits(self) -> bool:
        """It is not reached."""
        return self.needed <= self.allowed


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What the declared program takes when it uses its whole budget; times on the session's clock."""

    usage_seconds: float
    """Charged seconds: of a session its active time, of a batch or jobs their QPU time."""
    wall_seconds: float
    """From opening to the last event, queueing included."""
    qpu_seconds: float
    """Time of all jobs on the QPU."""
    cost: float
    """USD on the declared plan."""
    plan: str
    """Its name."""
    jobs: int
    """Jobs submitted."""
    shots: int
    """Executions of a circuit on the device: shots × parameter sets × measurement bases of all jobs."""
    evaluations: int
    """Energies that an optimizer asks for."""
    parameter_sets: int
    """Points that are measured or simulated, those that tell a gradient included."""
    fits: bool
    """Nothing ends the run before its budget is used up."""
    breaks_first: str | None
    """The limit that does, and when; None where everything fits."""
    ends_by: str | None = None
    """The declared budget in shots or money that ends the run, in words; the numbers are those until then."""
    at_most: str | None = None
    """Why it may take less even if it uses its whole budget, in words; None where it takes just that."""
    choosing_seconds: float = 0.0
    """What a job takes that chooses among the points of optimizations, where there may be none [s of usage]."""
    bounded: bool
    """The optimizer has a budget; without one the numbers are those of one made-up optimization."""
    costs: dict[str, float | None] = field(default_factory=dict)
    """Plan → USD; None where the plan does not allow this mode."""
    limits: list[Limit] = field(default_factory=list)
    """Every limit with what is needed of it."""
    usual: Usual | None = None
    """What it takes where it usually ends before its budget is used up; None where it does not."""
    stand_in: str | None = None
    """What stands for a real machine, where that was not asked; None where it was, or there is none."""
    chosen: str | None = None
    """Which device was chosen for the circuit by its calibration, and why; None where it was declared."""
    between: str | None = None
    """What the time between jobs adds on a real machine, where it is charged and not in the numbers; None elsewhere."""
    effort: Effort | None = None
    """Time and memory on this computer; None where that was not tried."""
    mitigation: dict[str, Any] | None = None
    """What is done against errors, and the QPU seconds and USD that it adds; None where nothing is."""
    simulation: str | None = None
    """How circuits will be simulated, and why, in words; None where there is nothing to tell."""
    circuit: dict[str, Any] = field(default_factory=dict)
    """Qubits, parameters, depth, two-qubit gates and duration in seconds of the transpiled ansatz."""

    def to_dict(self) -> dict[str, Any]:
        """The content of forecast.json."""
        content = asdict(self)
        for limit, shown in zip(self.limits, content["limits"], strict=True):
            shown["fits"] = limit.fits
        return content

    def _repr_html_(self) -> str:
        """What a notebook shows: the lines that the command prints."""
        return markup.facts(table(self))


def forecast(declared: RunConfig | Declaration) -> Forecast:
    """Rehearse a declared run.

    Raises:
        ConfigError: the parts of the declaration do not fit together.
        RunnerError: the experiment cannot work with made-up numbers.
    """
    config, choice = settled(declared.config if isinstance(declared, Declaration) else declared, offline=True)
    as_declared = _Rehearsal(config)
    whole = (
        as_declared if as_declared.stopped is None else _Rehearsal(config, limited=False, after=as_declared)
    )
    if whole.stopped is not None and whole is not as_declared:
        whole = as_declared  # it is not the session's end that stops it
    total = whole.total
    limits = _limits(config, whole)
    breaks = next((_words(limit) for limit in limits if not limit.fits), as_declared.stopped)
    if as_declared.stopped is not None:
        unit = "evaluations" if total.evaluations else "jobs"
        done, all_ = getattr(as_declared.total, unit), getattr(total, unit)
        breaks = f"{breaks}; ends after {done:.0f} of {all_:.0f} {unit}"
    return Forecast(
        usage_seconds=whole.usage,
        wall_seconds=total.end,
        qpu_seconds=total.qpu_seconds,
        cost=whole.cost,
        plan=config.session.plan,
        jobs=round(total.jobs),
        shots=round(total.executions),
        evaluations=round(total.evaluations),
        parameter_sets=round(total.sets),
        fits=breaks is None,
        breaks_first=breaks,
        ends_by=whole.ends_by,
        at_most=_at_most(config, whole),
        choosing_seconds=whole.choosing if whole.chooses else 0.0,
        bounded=whole.bounded or whole.ends_by is not None,
        costs=_costs(config, whole.usage),
        limits=limits,
        usual=recorded(declared) or _usual(config, whole),
        stand_in=whole.stand_in,
        chosen=None if choice is None else choice.words(),
        between=_between(config, whole),
        mitigation=whole.added,
        simulation=whole.simulation,
        circuit=whole.circuit,
    )


def _at_most(config: RunConfig, whole: _Rehearsal) -> str | None:
    """What only the landscape tells, and is reckoned with as more."""
    reasons = ["shots as the highest variances would need them"] if _has_target(config) else []
    if whole.chooses:
        less = clock(whole.choosing)
        reasons.append(
            f"no job chooses where an optimization's answer is also its lowest evaluation: {less} less"
        )
    return "; ".join(reasons) or None


def _between(config: RunConfig, whole: _Rehearsal) -> str | None:
    """What is charged in a real session beside its jobs, which only a run can tell, in words."""
    pauses = round(whole.total.jobs) - 1
    if config.backend.simulated or config.session.mode != "session" or pauses < 1:
        return None
    return (
        f"not in the usage and the cost: a session is charged between its jobs, too; each second that this program and "
        f"the way to the service take per job adds {clock(pauses)}, {pauses * whole.price:.2f} USD"
    )


def _usual(config: RunConfig, whole: _Rehearsal) -> Usual | None:
    """What the run usually takes that may end early: as a trial shows, else by the measured counts of its methods."""
    if whole.early and (tried := _tried(config, whole)) is not None:
        same = tried.total.evaluations >= whole.total.evaluations and not _has_target(config)
        return None if same else _taken(config, tried, f"tried here with seed {config.seed}")
    if not (whole.counted or _has_target(config)):
        return None
    source = "by its method's usual count" if whole.counted else "by the variance of a random state"
    return _taken(config, _Rehearsal(config, limited=False, how="usual", after=whole), source)


def _has_target(config: RunConfig) -> bool:
    return config.estimator.target is not None


def _tried(config: RunConfig, whole: _Rehearsal) -> _Rehearsal | None:
    """The run itself, where that takes no time: how early a method ends, only the landscape tells."""
    from runner.whatif.rehearsal import Untried

    try:
        tried = _Rehearsal(config, limited=False, how="tried", after=whole)
    except Untried:
        return None
    return tried if tried.stopped is None else None


def _taken(config: RunConfig, rehearsed: _Rehearsal, source: str) -> Usual:
    return Usual(
        source=source,
        usage_seconds=rehearsed.usage,
        cost=rehearsed.cost,
        evaluations=round(rehearsed.total.evaluations),
        jobs=round(rehearsed.total.jobs),
        fits=rehearsed.stopped is None and all(limit.fits for limit in _limits(config, rehearsed)),
    )


class _Rehearsal:
    """One pass through the program, with the session's limits or without.

    `how` says by which numbers: made-up ones, as many as the budget allows (bound) or its methods usually take
    (usual), or those of the circuits themselves (tried). What the noise of layers is learned to be is taken over from
    the pass `after` which this one comes: it is the same device and seed.
    """

    def __init__(
        self, config: RunConfig, *, limited: bool = True, how: str = "bound", after: _Rehearsal | None = None
    ) -> None:
        from runner.whatif.rehearsal import (
            ForecastLab,
            MachineEngine,
            MachineStage,
            Notes,
            RehearsalEngine,
            RehearsalLab,
            TrialLab,
            TrialStage,
            Untried,
            UsualStage,
        )

        session = replace(config.session, clock="virtual")
        if not limited:
            session = replace(session, max_time=None)
            config = replace(config, estimator=config.estimator.without_job_limit())
        config = replace(config, session=session)
        limits = session.limits if limited else session.limits.unlimited()
        stages = {"bound": RehearsalEngine, "usual": UsualStage, "tried": TrialStage}
        if not config.backend.simulated:
            stages |= {"bound": MachineEngine, "usual": MachineStage}
        like = None if after is None else after._planner
        preparation = Preparation(config, engine_factory=stages[how], limits=limits, like=like)
        self._planner: Planner | None = preparation.backend.planner
        notes = Notes(preparation.service.cost)
        self.mitigation = preparation.mitigates
        self.simulation = preparation.simulation
        self.timed = preparation.service.cost is not None
        self.price = preparation.service.price_per_second
        self.circuit = _circuit(preparation)
        self.stand_in = config.backend.stand_in(preparation.backend.name)
        make: Callable[..., ForecastLab] = partial(RehearsalLab, usual=how == "usual")
        with StopFlag() as stop:
            lab = preparation.lab(notes, stop, TrialLab if how == "tried" else make)
            self.stopped: str | None = None
            self.ends_by: str | None = None
            sooner = config.experiment.usual(preparation.prepared)
            experiment = sooner if how == "usual" else config.experiment
            try:
                with lab:
                    outcome = experiment.run(lab)
                if outcome.resumable:
                    self.stopped = outcome.stop_reason
            except StopOptimization as reason:
                self.stopped = reason.reason
            except Untried:
                raise
            except RunnerError as error:
                self.stopped = str(error)
            except Exception as error:
                raise RunnerError(
                    f"{config.experiment.name} cannot be forecast: {type(error).__name__}: {error}"
                ) from error
        if lab.spending.reached and not lab.session_over:
            self.stopped, self.ends_by = None, in_words(lab.spending.reached[0])
        sessions = lab.describe_sessions()
        rest = lab.skipped
        skipped = rest.end if config.session.mode == "session" else rest.qpu_seconds
        self.usage = sessions["usage_seconds"] + skipped
        self.cost = self.usage * self.price
        self.bounded = lab.bounded
        self.chooses = lab.chooses
        self.early = lab.early or sooner is not config.experiment
        self.counted = lab.counted or sooner is not config.experiment
        self.total = notes.total()
        self.total.add(rest)
        self.choosing = notes.choosing
        self.longest_job = notes.longest_job
        self.longest_session = notes.longest_session + rest.end

    @property
    def added(self) -> dict[str, Any] | None:
        """What mitigation takes more, under the names of result.json; None where nothing is mitigated."""
        if self.mitigation is None:
            return None
        seconds = self.total.added if self.timed else None
        cost = None if seconds is None else seconds * self.price
        return Added(setting=self.mitigation, qpu_seconds=seconds, cost=cost).as_dict()


def _circuit(preparation: Preparation) -> dict[str, Any]:
    problem = preparation.problem
    planner = preparation.backend.planner
    if problem is None or planner is None:
        return {}
    plan = planner.estimator_plan(problem.circuit, problem.observable)
    return {
        "qubits": problem.hamiltonian.num_qubits,
        "parameters": problem.ansatz.num_parameters,
        "depth": problem.circuit.depth(),
        "two_qubit_gates": problem.circuit.num_nonlocal_gates(),
        "measurement_bases": plan.num_bases,
        "duration_seconds": plan.duration,
        **({"added_two_qubit_gates": list(added)} if (added := plan.added_two_qubit_gates) else {}),
    }


def _limits(config: RunConfig, whole: _Rehearsal) -> list[Limit]:
    session, estimator, plan = config.session, config.estimator, config.session.limits
    own = estimator.job_limit is not None
    name = "estimator.max_execution_time" if own else f"longest job of the {plan.name} plan"
    allowed = estimator.longest_job(plan)
    limits = [Limit(name=name, allowed=allowed, needed=whole.longest_job, unit="s of QPU time")]
    if session.mode != "job" and session.on_expiry != "reopen":
        declared = session.max_time_seconds is not None
        name = "session.max_time" if declared else f"longest {session.mode} of the {plan.name} plan"
        limits.append(Limit(name=name, allowed=session.longest, needed=whole.longest_session, unit="s"))
    if plan.allocation is not None:
        limits.append(
            Limit(
                name=f"allocation of the {plan.name} plan per 28 days",
                allowed=plan.allocation,
                needed=whole.usage,
                unit="s of usage",
            )
        )
    return limits


def _words(limit: Limit) -> str:
    return f"{limit.name}: {limit.needed:.0f} {limit.unit} needed, {limit.allowed:.0f} allowed"


def _costs(config: RunConfig, usage: float) -> dict[str, float | None]:
    """Price of the usage on every plan; what was declared overrides the declared plan's."""
    costs: dict[str, float | None] = {}
    for name, plan in PLANS.items():
        price = plan.price_per_second
        if name == config.session.plan and config.session.price_per_second is not None:
            price = config.session.price_per_second
        costs[name] = usage * price if plan.sessions or config.session.mode != "session" else None
    return costs


def _bases(circuit: dict[str, Any]) -> str:
    count, added = str(circuit["measurement_bases"]), circuit.get("added_two_qubit_gates")
    if not added:
        return count
    return f"{count}, each after {min(added)} to {max(added)} two-qubit gates more ({sum(added)} together)"


def table(found: Forecast) -> list[tuple[str, str]]:
    """What is printed: name and value of every line."""
    table_rows = [] if found.stand_in is None else [("backend", found.stand_in)]
    if found.chosen is not None:
        table_rows.append(("chosen", found.chosen))
    if found.circuit:
        duration = found.circuit["duration_seconds"]
        length = f", {duration * 1e6:.2f} µs long" if duration is not None else ""
        table_rows.append(
            (
                "circuit",
                f"{found.circuit['qubits']} qubits, {found.circuit['parameters']} parameters, "
                f"depth {found.circuit['depth']}, {found.circuit['two_qubit_gates']} two-qubit gates{length}",
            )
        )
        table_rows.append(("measurement bases", _bases(found.circuit)))
    if found.simulation is not None:
        table_rows.append(("simulated", found.simulation))
    if found.evaluations:
        guess = "" if found.bounded else " (no budget declared: a guess)"
        table_rows.append(("evaluations", f"{found.evaluations}{guess}"))
    table_rows += [
        ("jobs", str(found.jobs)),
        ("shots", grouped(found.shots)),
        ("QPU time", clock(found.qpu_seconds)),
        ("session clock", clock(found.wall_seconds)),
        ("usage", clock(found.usage_seconds)),
        ("cost", f"{found.cost:.2f} USD: {found.plan} plan"),
    ]
    if found.between is not None:
        table_rows.append(("between jobs", found.between))
    if found.mitigation is not None:
        table_rows += mitigation_lines(found.mitigation)
    table_rows += [
        (f"  on {plan}", "not possible" if cost is None else f"{cost:.2f} USD")
        for plan, cost in found.costs.items()
    ]
    table_rows += [
        (
            limit.name,
            f"{limit.needed:.1f} of {limit.allowed:g} {limit.unit}: {'fits' if limit.fits else 'too little'}",
        )
        for limit in found.limits
    ]
    if found.at_most is not None:
        table_rows.append(("at most", found.at_most))
    if found.ends_by is not None:
        table_rows.append(("ends by its budget", found.ends_by))
    table_rows.append(("fits", "yes" if found.fits else f"no: {found.breaks_first}"))
    if found.usual is not None:
        table_rows += rows(found.usual)
    if found.effort is not None:
        table_rows.append((COMPUTER, effort_in_words(found.effort)))
    return table_rows

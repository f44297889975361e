"""What a run gives back: small frozen dataclasses, and result.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from runner import review
from runner.declare.session import plan_of
from runner.display import markup
from runner.display.words import clock, counted_up, counts, digits_of, energy_lines, without_residue
from runner.hamiltonian import unit_of
from runner.record.directory import JOURNAL
from runner.record.events import Evaluation, RunStarted
from runner.record.journal import read_telling
from runner.record.log import first, of
from runner.record.packed import is_there
from runner.record.result import taken_in_all

if TYPE_CHECKING:
    import pandas

    from runner.review.figures.shown import ShownFigure


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What an experiment found; energies in the Hamiltonian's unit."""

    energy: float | None
    """Lowest energy found (or the experiment's main number)."""
    stddev: float | None = None
    """Standard error of that energy."""
    energy_kind: str = "measured"
    """measured: by shots of its own | exact: without shot noise | truncated: what its simulation left out may matter
    more than its standard error | pick: lowest of several noisy ones, biased low."""
    sampled: bool | None = None
    """Whether shots measured the energy; None: as `energy_kind` says."""
    observable: str | None = None
    """What `energy` is the expectation value of, where that is not the Hamiltonian."""
    truncation: float | None = None
    """By how much what its simulation left out may have changed the energy, or the most of the table's values where
    there is no energy; None: as the jobs' numbers say at most."""
    exact_energy: float | None = None
    """Energy at the same parameters without shot noise, where it is computed."""
    exact_method: str | None = None
    """How: statevector | mixture (of all courses of what resets or branches) | density_matrix (under the backend's
    noise) | …"""
    exact_note: str | None = None
    """Why it is not computed, in words; None where it is, where nothing is measured, and in earlier results."""
    parameters: list[float] = field(default_factory=list)
    """Parameter values it was found at."""
    parameter_names: list[str] = field(default_factory=list)
    """Their names, in the same order; empty: those of the declared problem."""
    reference_energy: float | None = None
    """What it should have been."""
    reference_note: str | None = None
    """Where that is from and which states it is the lowest of, e.g. exact diagonalization, sector N↑=1, N↓=1."""
    outside_sector: float | None = None
    """Probability of other numbers of electrons in the noiseless state at `parameters`; None where there is none."""
    evaluations: int = 0
    """Energies that an optimizer asked for."""
    iterations: int = 0
    """Steps of the optimizer, or of what else is repeated until nothing changes."""
    stop_reason: str = "done"
    """Why it ended."""
    resumable: bool = False
    """The session ended under it: the same run can be continued."""
    table: list[dict[str, Any]] = field(default_factory=list)
    """One row per workload, state, point…: what the experiment reports beyond one energy."""


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """The content of result.json, and where it lies."""

    experiment: str
    """Name of the algorithm."""
    status: str
    """finished | stopped | interrupted | failed."""
    energy: float | None
    """Energy at the answer, or the experiment's main number; `energy_kind` says what it is worth."""
    stddev: float | None
    """Standard error of that energy; None where it is the lowest of several noisy ones."""
    reference_energy: float | None
    """Exact ground-state energy where it is known."""
    error: float | None
    """energy - reference_energy; None where the energy is the lowest of several noisy ones."""
    evaluations: int
    """Energies that an optimizer asked for; 0 where nothing is optimized."""
    iterations: int
    """Steps of the optimizer, or of what else is repeated until nothing changes."""
    parameters: list[float]
    """Parameter values of that energy."""
    stop_reason: str
    """Why the run ended."""
    parameter_names: list[str] = field(default_factory=list)
    """Names of the parameters, in the order of `parameters`."""
    energy_kind: str | None = None
    """measured: by shots that chose nothing | exact: without shot noise | truncated: what its simulation left out may
    have changed it by more than its standard error, or by more than rounding | pick: the lowest of several noisy
    energies, biased low; None where there is no energy."""
    sampled: bool | None = None
    """Whether shots measured the energy, which `truncated` does not say; None where there is no energy, and in earlier
    results."""
    observable: str | None = None
    """What `energy` is the expectation value of, where that is no energy but of an observable that was declared; None
    else, and in earlier results."""
    error_sigmas: float | None = None
    """error / stddev: the distance from the reference in standard errors; None of a truncated energy."""
    exact_energy: float | None = None
    """Energy at the same parameters without shot noise, where it is computed."""
    exact_method: str | None = None
    """How: statevector | mixture (of all courses of what resets or branches) | density_matrix (under the backend's
    noise) | …"""
    exact_note: str | None = None
    """Why it is not computed, in words; None where it is, where nothing is measured, and in earlier results."""
    converged: bool | None = None
    """Every minimization met its own criterion or the target energy; None where nothing was minimized."""
    reference_note: str | None = None
    """Where the reference is from and which states it is the lowest of."""
    outside_sector: float | None = None
    """Probability of other numbers of electrons in the noiseless state at `parameters`; None: cannot be told."""
    usage_seconds: float
    """Usage of all sessions in seconds."""
    cost: float | None
    """Price of that usage in USD; None where the plan has no price."""
    qpu_seconds: float | None = None
    """Seconds of all jobs on the QPU; None in results of earlier releases."""
    shots: int | None = None
    """Executions of circuits: shots × parameter sets × measurement bases of all jobs; None where they are not told."""
    measured_before: dict[str, Any] | None = None
    """What measuring results took where the run had stopped (`jobs`, `qpu_seconds`, `usage_seconds`, `cost`, `shots`);
    `usage_seconds` and `cost` are what is charged for it beyond the run's own; `mitigation_qpu_seconds` and
    `mitigation_cost` what was added to it against errors, if anything was done; None where it had not."""
    rounding: float | None = None
    """What rounding may leave of an expectation value that is 0; None where not known, and in earlier results."""
    simulation: str | None = None
    """How circuits were simulated, and why, in words; None where there is nothing to tell."""
    truncation: dict[str, float] | None = None
    """The most that any job's simulation left out: the weight of its state (`discarded_weight`), by how much an
    expectation value may be wrong for it (`error`), and probabilities of outcomes in all (`distance`); by how much the
    printed energy may be (`energy`), where that is known; None where nothing can be."""
    mitigation: dict[str, Any] | None = None
    """What was done against errors (`setting`), and what that added (`qpu_seconds`, `cost`); None where nothing was."""
    session_ids: list[str]
    """Ids of the sessions opened."""
    mlflow_run_id: str | None
    """Id of the MLflow run; None when tracking is off or the store was not reached."""
    seed: int
    """Seed of the run."""
    wall_seconds: float
    """Real seconds this process took for the run, from preparing it to its last figure; the summary counts the wait for
    MLflow too."""
    versions: dict[str, str]
    """Package → version."""
    table: list[dict[str, Any]] = field(default_factory=list)
    """What the experiment reports beyond one energy."""
    exit_code: int = 0
    """What the process ends with."""
    directory: Path = field(default=Path())
    """The run directory."""

    @classmethod
    def of(cls, content: Mapping[str, Any], directory: Path) -> Self:
        """What a result.json says that was read by `runner.record.reading`; what a later release adds is left out."""
        known = {one.name for one in fields(cls)} - {"directory"}
        told = {name: value for name, value in content.items() if name in known}
        return cls(**told, directory=directory)

    def to_json(self) -> str:
        """The text of result.json."""
        content = asdict(self)
        del content["directory"]
        return json.dumps(content, indent=2) + "\n"

    def to_frame(self, *, table: bool = False) -> pandas.DataFrame:
        """One row per evaluation: workload, index, energy, stddev, best; with `table`, what the experiment reports.

        Experiments that evaluate no energies (sampling, estimation, dynamics) always give their table.
        """
        import pandas

        events = read_telling(self.directory / JOURNAL)
        columns = ["workload", "index", "energy", "stddev", "best"]
        rows = [
            (event.workload, event.index, event.energy, event.stddev, event.best)
            for event in of(events, Evaluation)
        ]
        if table or (self.table and not rows):
            return pandas.DataFrame(self.table)
        return pandas.DataFrame(rows, columns=columns)

    def plot(self) -> ShownFigure:
        """The curve or the histogram the experiment reports, else the convergence of its energies.

        A notebook shows it without `%matplotlib inline`.
        """
        figure = review.curves(self.table)
        if figure is not None:
            return figure
        events = read_telling(self.directory / JOURNAL)
        if self.table and {"bitstring", "count"} <= self.table[0].keys():
            # of all shots: the table may list a part of what was read, and of several registers the same words
            return review.bitstrings(review.last_counts(events), self.table)
        return review.convergence(events, self.reference_energy)

    def _repr_html_(self) -> str:
        """What a notebook shows: what was found, what it cost, where it lies, and the figure."""
        journal = self.directory / JOURNAL
        recorded = is_there(journal)
        started = first(read_telling(journal), RunStarted) if recorded else None
        unit = unit_of(started)
        plan = plan_of({} if started is None else started.config)
        usage, price = (taken_in_all(vars(self), name) for name in ("usage_seconds", "cost"))
        cost = "" if price is None else f"{price:.2f} USD" + (f": {plan.name} plan" if plan else "")
        rows = [
            ("experiment", f"{self.experiment}: {self.status}", self.stop_reason),
            *energy_lines(vars(self), unit),
            *counts(vars(self)),
            (
                "sessions" if len(self.session_ids) > 1 else "session",
                str(len(self.session_ids)),
                self.session_ids[-1],
            )
            if self.session_ids
            else ("session", "none", ""),
            ("usage", clock(usage or 0.0), cost),
            ("files", str(self.directory), ""),
        ]
        shown = counted_up(without_residue(vars(self))["table"], self.evaluations)
        return (
            markup.facts(rows)
            + markup.table(shown, digits_of(shown))
            + (self.plot().in_html() if recorded else "")
        )

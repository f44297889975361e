"""What a run gives back: small frozen dataclasses, and result.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.hamiltonian.declared import HARTREE
from runner.record.events import Evaluation

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure


def error_in_words(error: float, exact: float | None, unit: str | None) -> str:
    """An energy's distance from the exact one: of Hartree in mHa, of anything else in its own unit and relative.

    Args:
        error: energy − exact.
        exact: what it should have been.
        unit: what the Hamiltonian's energies are in.
    """
    if unit == HARTREE:
        return f"{1000 * error:+.3f} m{HARTREE}"
    return (
        f"{error:+.3g}"
        + (f" {unit}" if unit else "")
        + (f" ({100 * abs(error / exact):.2g} %)" if exact else "")
    )


def energy_lines(result: Mapping[str, Any], unit: str | None) -> list[tuple[str, str, str]]:
    """What is said of a run's energy, wherever it is shown: name, value and a note on each line.

    Where shots measured it, its distance from the reference is in standard errors, and the exact energy at the same
    parameters, where it is known, tells what is the optimizer's part of it. An energy that was picked from noisy ones
    is compared with nothing.

    Args:
        result: the content of result.json; those of earlier releases say nothing of the kind of the energy.
        unit: what the Hamiltonian's energies are in.
    """
    energy, reference, error, stddev, here = (
        _number(result.get(name))
        for name in ("energy", "reference_energy", "error", "stddev", "exact_energy")
    )
    kind = result.get("energy_kind")
    if kind == "pick" and energy is not None:
        return [
            ("energy", f"{energy:.6f}", "the lowest of noisy evaluations, biased low: not measured afresh")
        ]
    lines = []
    if energy is not None:
        words = "" if error is None else error_in_words(error, reference, unit)
        if stddev and error is not None:
            words = f"{error / stddev:+.1f} σ from the reference"
            words += "" if here is not None else f": {error_in_words(error, reference, unit)}"
        elif error is not None:
            words += " from the reference"
        notes = [*(["without shot noise"] if kind == "exact" else []), *([words] if words else [])]
        lines.append(("energy", f"{energy:.6f}" + (f" ± {stddev:.2g}" if stddev else ""), ": ".join(notes)))
    if here is not None and kind == "measured":
        noise = ", under the backend's noise" if result.get("exact_method") == "density_matrix" else ""
        note = f"at the same parameters without shot noise{noise}"
        if reference is not None:
            note += f": {error_in_words(here - reference, reference, unit)} from the reference"
        lines.append(("exact here", f"{here:.6f}", note))
    if reference is not None:
        lines.append(("reference", f"{reference:.6f}", str(result.get("reference_note") or "")))
    return lines


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What an experiment found; energies in the Hamiltonian's unit."""

    energy: float | None
    """Lowest energy found (or the experiment's main number)."""
    stddev: float | None = None
    """Standard error of that energy."""
    energy_kind: str = "measured"
    """measured: by shots of its own | exact: without shot noise | pick: lowest of several noisy ones, biased low."""
    exact_energy: float | None = None
    """Energy at the same parameters without shot noise, where it is computed."""
    exact_method: str | None = None
    """How: statevector | density_matrix (under the backend's noise) | …"""
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
    """Energies evaluated."""
    iterations: int = 0
    """Steps of the optimizer."""
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
    """Energies evaluated."""
    iterations: int
    """Steps of the optimizer."""
    parameters: list[float]
    """Parameter values of that energy."""
    stop_reason: str
    """Why the run ended."""
    parameter_names: list[str] = field(default_factory=list)
    """Names of the parameters, in the order of `parameters`."""
    energy_kind: str | None = None
    """measured: by shots that chose nothing | exact: without shot noise | pick: the lowest of several noisy energies,
    biased low; None where there is no energy."""
    error_sigmas: float | None = None
    """error / stddev: the distance from the reference in standard errors."""
    exact_energy: float | None = None
    """Energy at the same parameters without shot noise, where it is computed."""
    exact_method: str | None = None
    """How: statevector | density_matrix (under the backend's noise) | …"""
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

        from runner.record.journal import read_journal
        from runner.record.log import of

        events = read_journal(self.directory / "journal.jsonl").events
        columns = ["workload", "index", "energy", "stddev", "best"]
        rows = [
            (event.workload, event.index, event.energy, event.stddev, event.best)
            for event in of(events, Evaluation)
        ]
        if table or (self.table and not rows):
            return pandas.DataFrame(self.table)
        return pandas.DataFrame(rows, columns=columns)

    def plot(self) -> Figure:
        """The curve or the histogram the experiment reports, else the convergence of its energies."""
        from runner.record.journal import read_journal
        from runner.review.figures import convergence, curves, histogram

        figure = curves(self.table)
        if figure is not None:
            return figure
        if self.table and {"bitstring", "count"} <= self.table[0].keys():
            return histogram({row["bitstring"]: row["count"] for row in self.table})
        return convergence(read_journal(self.directory / "journal.jsonl").events, self.reference_energy)


def outside_in_words(
    share: float | None, *, error: float | None = None, stddev: float | None = None, note: str | None = None
) -> str:
    """What is to be said of a state with other numbers of electrons than the reference; nothing where all is well.

    Args:
        share: probability of other numbers of electrons; None where it cannot be told.
        error: energy − reference.
        stddev: standard error of the energy.
        note: where the reference is from.
    """
    words = ""
    if share:
        part = f"{100 * share:.3g} %" if share > 1e-6 else "less than 0.0001 %"
        words = f"{part} of the state has other numbers of electrons: the ansatz does not keep them"
    below = error is not None and error < -max(3 * (stddev or 0), 1e-6)
    if below and (share or (share is None and ", sector " in (note or ""))):
        words = words or "the ansatz may not keep the numbers of electrons"
        words += "; so the energy lies below the sector's lowest"
    return words + ("; ansatz=uccsd keeps them" if words else "")

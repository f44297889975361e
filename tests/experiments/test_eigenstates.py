"""Excited states, growing ansätze and dissociation curves against exact diagonalization."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from experiments.vqd import overtaken
from runner import compose, run
from runner.errors import ConfigError
from tests.choices import choice
from tests.test_run import events

EXACT = ("tracking=off", "run.figures=false", "estimator=exact")
FCI_H2 = -1.1373060357533997
"""Full configuration interaction of H2 at 0.735 Å in sto-3g, from PySCF."""


def test_vqd_finds_the_levels_in_order(workdir: Path) -> None:
    """Three of the four eigenvalues of the two-qubit Hamiltonian, each kept away from those below."""
    result = run(compose("experiment=vqd", *EXACT, "experiment.starts=2"))

    levels = np.linalg.eigvalsh(choice("hamiltonian", "two_qubit").build().to_matrix())
    assert [row["energy"] for row in result.table] == pytest.approx(levels[:3].tolist(), abs=1e-5)
    assert result.energy == pytest.approx(levels[0], abs=1e-6)
    assert {event.workload for event in events(result, "evaluation")} == {"level 0", "level 1", "level 2"}


def test_vqd_works_on_shots(workdir: Path) -> None:
    """The overlaps are measured like the energy; the reported energies are not penalized ones."""
    result = run(
        compose(
            "experiment=vqd", "tracking=off", "run.figures=false", "estimator=shots",
            "estimator.default_shots=500", "optimizer=cobyla",
            "optimizer.max_evaluations=10", "experiment.levels=2", "experiment.starts=1",
        )
    )  # fmt: skip

    assert [row["level"] for row in result.table] == [0, 1]
    assert all(-0.75 < row["energy"] < 0.75 and row["stddev"] > 0 for row in result.table)


def test_adapt_needs_one_excitation_for_hydrogen(workdir: Path) -> None:
    """H2 in a minimal basis is one double excitation away from Hartree–Fock; singles have no gradient (Brillouin)."""
    result = run(compose("experiment=adapt_vqe", *EXACT, "hamiltonian=h2"))

    assert [row["added"] for row in result.table] == ["0,2→1,3"]
    assert result.energy == pytest.approx(FCI_H2, abs=1e-6)
    assert len(result.parameters) == 1
    assert result.stop_reason.startswith("largest gradient")


def test_the_curve_of_hydrogen_is_exact_with_uccsd(workdir: Path) -> None:
    """UCCSD is complete for two electrons: FCI at every distance, each point started from the one before."""
    result = run(
        compose("experiment=dissociation_curve", *EXACT, "experiment.values=[0.735,1.5]", "optimizer=slsqp")
    )

    assert [row["bond_length"] for row in result.table] == [0.735, 1.5]
    assert result.table[0]["energy"] == pytest.approx(FCI_H2, abs=1e-5)
    assert all(abs(row["error"]) < 1e-5 for row in result.table)
    assert result.energy == result.table[0]["energy"]
    assert len(result.session_ids) == 1

    first = next(e for e in events(result, "job.submitted") if e.workload == "bond_length=1.5")
    assert np.ravel(first.pubs[0]["values"]).any()  # not the Hartree–Fock state again


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["experiment=vqd", "experiment.levels=5"], r"experiment\.levels: 2 qubits have 4 states, got 5"),
        (["experiment=vqd", "experiment.penalty=-1"], r"experiment\.penalty: must be above 0"),
        (["experiment=vqd", "hamiltonian=tfim", "hamiltonian.shape=[13]"], "at most 12 qubits, got 13"),
        (["experiment=adapt_vqe", "hamiltonian=tfim"], "needs a hamiltonian of electrons"),
        (["experiment=adapt_vqe", "experiment.pool=dd"], r"experiment\.pool: unknown choice 'dd'"),
        (
            ["experiment=dissociation_curve", "experiment.parameter=bond_lenght"],
            r"experiment\.parameter: 'hydrogen' has no 'bond_lenght'; did you mean 'bond_length'\?",
        ),
        (["experiment=dissociation_curve", "experiment.values=[]"], r"experiment\.values: takes 1 to 1000"),
        (["experiment=dissociation_curve", "experiment.values=[-1]"], r"hamiltonian\.bond_length: must be above 0"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(workdir: Path, overrides: list[str], line: str) -> None:
    """One line, nothing created."""
    with pytest.raises(ConfigError, match=line):
        run(compose("tracking=off", "run.figures=false", *overrides))

    assert list(workdir.iterdir()) == []


def test_a_level_that_is_not_converged_is_not_called_missed() -> None:
    """Rows by hand: where level 0 is 0.27 mHa high and its optimizer was stopped, level 1 may be as much too low."""
    rows = [
        {"level": 0, "energy": -1.13703, "stddev": 0, "exact": -1.1373, "error": 2.7e-4},
        {"level": 1, "energy": -0.52487, "stddev": 0, "exact": -0.5246, "error": -2.7e-4},
    ]
    arrived = [{**rows[0], "error": -1e-9}, rows[1]]
    by_less = [{**rows[0], "error": 2e-5}, rows[1]]
    noisy = [{**row, "stddev": 1e-3} for row in rows]

    told = overtaken(rows, [False, True], "Ha")
    assert "level 1 lies below the exact one, for level 0 is not converged, 0.270 mHa above its exact" in told
    assert "so a level before it was missed" in overtaken(rows, [True, True])
    assert "none before it lies above: it overlaps with them" in overtaken(arrived, [True, True])
    assert "by more than those before it lie above: it overlaps" in overtaken(by_less, [True, True])
    assert overtaken(noisy, [False, False]) == ""
    assert overtaken(rows, [False, True], sampled=True) == ""  # shots that came out alike


@pytest.mark.parametrize(("unit", "constant"), [(1.0, 0.0), (2.0**-23, 0.0), (2.0**23, 0.0), (1.0, 2.0**20)])
def test_a_level_below_is_told_in_any_unit(workdir: Path, unit: float, constant: float) -> None:
    """Levels −3, 1, 1, 1 of XX + YY + ZZ by pencil; COBYLA stops 6 evaluations into each, whatever the unit is."""
    terms = f"[[XX,{unit}],[YY,{unit}],[ZZ,{unit}],[II,{constant}]]"
    result = run(
        compose(
            "experiment=vqd", "hamiltonian=pauli", f"hamiltonian.terms={terms}", "experiment.levels=2",
            "experiment.starts=1", "optimizer=cobyla", "optimizer.max_evaluations=6", *EXACT,
        )
    )  # fmt: skip

    levels = [row["exact"] for row in result.table]
    assert levels == pytest.approx([constant - 3 * unit, constant + unit], rel=1e-12)
    assert result.table[0]["error"] > 0.1 * unit
    assert result.table[1]["error"] < -0.01 * unit
    assert "level 1 lies below the exact one" in result.stop_reason


def test_a_budget_that_runs_out_is_told_as_that(workdir: Path) -> None:
    """COBYLA stops short of level 0, which a hundred evaluations cannot reach; level 1 is low by what that is high."""
    result = run(
        compose(
            "experiment=vqd", "optimizer=cobyla", "optimizer.max_evaluations=100", "experiment.starts=1",
            "experiment.levels=2", "tracking=off", "run.figures=false",
        )
    )  # fmt: skip

    assert result.table[0]["error"] > 1e-5
    assert "level 1 lies below the exact one, for level 0 is not converged, 0.0002" in result.stop_reason

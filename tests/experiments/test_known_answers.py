"""The table of docs/experiments.md: what a physicist knows beforehand, found by the presets."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.adapt_vqe import OperatorPool
from runner import RunResult, compose, run
from runner.run.preflight import Preparation
from tests.choices import choice

pytestmark = pytest.mark.nightly

CHEMICAL_ACCURACY = 1.6e-3
"""Hartree; 1 kcal/mol."""


def found(*overrides: str) -> RunResult:
    """A run to its end, in as many sessions as it takes."""
    result = run(compose("tracking=off", "run.figures=false", "session.on_expiry=reopen", *overrides))

    assert result.status == "finished"
    return result


def test_the_dissociation_of_hydrogen(workdir: Path) -> None:
    """0.4 to 2.5 Å with UCCSD: full configuration interaction within chemical accuracy."""
    result = found("experiment=dissociation_curve", "gradient=adjoint")

    assert [row["bond_length"] for row in result.table] == [0.4, 0.6, 0.735, 0.9, 1.2, 1.6, 2.0, 2.5]
    assert max(abs(row["error"]) for row in result.table) < CHEMICAL_ACCURACY


def test_lithium_hydride(workdir: Path) -> None:
    """Frozen core, 1.6 Å, UCCSD: within chemical accuracy."""
    result = found(
        "hamiltonian=lih", "ansatz=uccsd", "optimizer=l_bfgs_b", "estimator=exact", "gradient=adjoint",
        "estimator.default_shots=1024",
    )  # fmt: skip

    assert abs(result.error) < CHEMICAL_ACCURACY


def test_lithium_hydride_on_four_qubits(workdir: Path) -> None:
    """Two electrons in two orbitals, the hardware-efficient ansatz: within chemical accuracy."""
    result = found(
        "hamiltonian=lih_4q", "ansatz.reps=3", "optimizer=l_bfgs_b", "estimator=exact", "gradient=adjoint"
    )

    assert abs(result.error) < CHEMICAL_ACCURACY


@pytest.mark.parametrize("field", [0.5, 1.0, 2.0])
def test_the_ising_chain(workdir: Path, field: float) -> None:
    """8 sites on both sides of the transition and at it, HVA: within 1 % of the exact energy."""
    result = found(
        "hamiltonian=tfim", f"hamiltonian.field={field}", "ansatz=hva", "optimizer=l_bfgs_b", "estimator=exact",
        "gradient=adjoint",
    )  # fmt: skip

    assert abs(result.error) < 0.01 * abs(result.reference_energy)


def test_qaoa_on_a_regular_graph(workdir: Path) -> None:
    """P = 3 on a 3-regular graph of 8 nodes: the mean cut is at least 0.9 of the largest, and the largest is found."""
    result = found("experiment=qaoa")

    assert result.table[0]["mean_ratio"] >= 0.9
    assert result.table[0]["ratio"] == 1


def test_the_levels_of_hydrogen(workdir: Path) -> None:
    """H2's ground state, triplet and singlet with one electron of each spin, within 5 mHa of PySCF's FCI."""
    result = found("experiment=vqd", "hamiltonian=h2", "gradient=adjoint")

    energies = [row["energy"] for row in result.table]
    assert energies == pytest.approx([-1.137306, -0.524616, -0.162753], abs=5e-3)  # PySCF 2.14.0
    assert max(abs(row["error"]) for row in result.table) < 5e-3


def test_adapt_needs_fewer_parameters_than_uccsd(workdir: Path) -> None:
    """H4: within chemical accuracy of FCI, with fewer parameters than there are excitations."""
    result = found("experiment=adapt_vqe")
    pool = Preparation(compose("experiment=adapt_vqe", "tracking=off", "run.figures=false")).prepared

    assert isinstance(pool, OperatorPool)
    uccsd = choice("ansatz", "uccsd").build(choice("hamiltonian", "h4").build()).num_parameters
    assert abs(result.error) < CHEMICAL_ACCURACY
    assert len(result.parameters) < uccsd == len(pool.generators)

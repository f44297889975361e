"""Sample-based diagonalization: against exact diagonalization on qubits, killed, resumed, and from the same shots."""

from __future__ import annotations

import json
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from runner import RunResult, compose, resume, run
from runner.errors import ConfigError, ResumeError
from runner.record.journal import read_journal
from runner.whatif.forecast import forecast
from tests.test_run import cut, events, goes_on

pytestmark = pytest.mark.skipif(
    find_spec("qiskit_addon_sqd") is None or find_spec("ffsim") is None, reason="needs the extra [sqd]"
)

H4 = (
    "experiment=sqd", "hamiltonian=hydrogen", "hamiltonian.atoms=4", "hamiltonian.bond_length=1.5", "tracking=off",
    "run.figures=false", "estimator.default_shots=500", "experiment.jobs=3",
)  # fmt: skip
NOISY = (*H4, "backend=noisy", "backend.depolarizing_2q=0.01", "backend.readout_error=0.02")

FCI = -1.9961503
"""H4 at 1.5 Å in sto-3g: lowest eigenvalue with two electrons of either spin of the operator on 8 qubits, by SciPy."""


def sqd(*overrides: str, directory: str = "run") -> RunResult:
    """A run on the noisy simulator."""
    return run(compose(*NOISY, *overrides), directory=directory)


def without_costs(result: RunResult) -> dict[str, Any]:
    """What was found."""
    content = json.loads(result.to_json())
    return {key: content[key] for key in ("energy", "table", "stop_reason", "iterations", "reference_energy")}


def test_noise_and_recovery_reach_the_exact_energy(workdir: Path) -> None:
    """Noiseless, LUCJ names eight configurations and misses 39 mHa; noise names others, and recovery mends them."""
    found = sqd()

    assert found.reference_energy == pytest.approx(FCI, abs=1e-6)
    assert found.energy == pytest.approx(FCI, abs=1e-6)
    assert found.energy_kind == "exact"
    rows = found.table
    assert [row["dimension"] for row in rows] == sorted(row["dimension"] for row in rows)
    energies = [row["energy"] for row in rows]
    assert energies == sorted(energies, reverse=True), (
        "nested subspaces: each has the states of the one before"
    )
    assert all(row["energy"] > FCI - 1e-6 for row in rows)
    assert rows[-1]["dimension"] == 36, "all pairs of two of four orbitals"
    assert rows[-1]["spin_square"] == pytest.approx(0, abs=1e-6)
    assert rows[-1]["variance"] == pytest.approx(0, abs=1e-8)
    assert sum(rows[-1]["occupancies"]) == pytest.approx(4)
    assert 0.3 < rows[-1]["valid"] < 0.9
    assert 8 < rows[-1]["configurations"] <= 36, "of the sector, not of 256 strings of bits"
    iterations = events(found, "iteration")
    assert [event.iteration for event in iterations] == list(range(1, found.iterations + 1))
    assert sum(iterations[-1].more["up"]) == pytest.approx(2)
    assert len(events(found, "job.completed")) == 3


def test_without_noise_the_subspace_is_small_and_says_so(workdir: Path) -> None:
    """Every shot has the right number of electrons; the energy is above the exact one."""
    found = run(compose(*H4), directory="ideal")

    row = found.table[-1]
    assert row["valid"] == 1
    assert row["configurations"] < 36
    assert row["energy"] > FCI + 1e-3
    assert "dimension" in found.stop_reason


def test_the_classical_part_runs_again_from_the_same_shots(workdir: Path) -> None:
    """The same settings give the same bits and cost nothing; other settings, another subspace."""
    first = sqd()
    again = sqd("experiment.samples=run:run", directory="again")
    smaller = sqd("experiment.samples=run:run", "experiment.max_strings=3", directory="smaller")

    assert without_costs(again) == without_costs(first)
    assert (again.usage_seconds, again.shots) == (0, 0)
    assert not events(again, "job.submitted")
    (taken,) = events(again, "samples")
    assert (taken.run, taken.jobs, taken.shots) == ("run", 3, 1500)
    assert smaller.table[-1]["dimension"] <= 9
    assert smaller.energy is not None
    assert smaller.energy > FCI + 1e-4


def test_a_run_goes_on_from_wherever_it_was_cut(workdir: Path) -> None:
    """After any event: the journal comes out as it was, and nothing sampled is sampled again."""
    whole = sqd()
    goes_on(whole, 14, without_costs)


def test_other_shots_than_those_begun_with_are_refused(workdir: Path) -> None:
    """A resumed run compares what it takes from the other run with what it took."""
    sqd()
    sqd("experiment.samples=run:run", directory="again")
    kinds = [event.kind for event in read_journal("again/journal.jsonl").events]
    cut(Path("again"), keep=kinds.index("samples") + 1)
    shutil.rmtree("run")
    sqd("seed=2")

    with pytest.raises(ResumeError, match="samples differs from the journal at 'digest'"):
        resume("again")


def test_a_forecast_says_what_is_charged(workdir: Path) -> None:
    """Within 5 %, without a single diagonalization."""
    told = forecast(compose(*NOISY))
    found = sqd()

    assert told.usage_seconds == pytest.approx(found.usage_seconds, rel=0.05)
    assert (told.jobs, told.shots) == (3, found.shots)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["hamiltonian=tfim"], "hamiltonian: tfim has no integrals over orbitals"),
        (
            ["hamiltonian.mapper=parity"],
            "hamiltonian.mapper: is parity, and sqd needs an orbital on every qubit",
        ),
        (["experiment.samples=run:nowhere"], "experiment.samples: no run 'nowhere' with a journal"),
        (["experiment.samples=nowhere"], "experiment.samples: must be run:NAME"),
        (["experiment.longest=1e-9"], "experiment.max_strings: .* take up to .*; lower it"),
        (["experiment.sizes=[0.5]"], "experiment.sizes: must rise and end with 1"),
        (["ansatz=efficient_su2", "optimizer=spsa"], "optimizer: does not act in experiment=sqd"),
        (["ansatz.pairs=square", "ansatz.opposite=[7]"], r"ansatz.opposite\[0\]: must be"),
        (["ansatz.opposite=[1]"], "ansatz.opposite: says nothing where all orbitals are coupled"),
    ],
)
def test_what_cannot_be_done_is_one_line(workdir: Path, words: list[str], line: str) -> None:
    """Before anything is created."""
    atoms = [
        word for word in H4 if not (words[0].startswith("hamiltonian=") and word.startswith("hamiltonian"))
    ]
    with pytest.raises(ConfigError, match=line):
        run(compose(*atoms, *words))

    assert not list(workdir.iterdir())


def test_other_circuits_can_be_sampled(workdir: Path) -> None:
    """Unitary coupled cluster at its start, displaced: any ansatz on as many qubits does."""
    words = ["ansatz=uccsd", "ansatz.initial=random", "ansatz.initial_spread=1"]
    found = run(compose(*H4, *words, "estimator.default_shots=2000"), directory="run")

    assert found.energy == pytest.approx(FCI, abs=1e-6)


def exactly(atom: str) -> float:
    """Full configuration interaction in sto-3g by PySCF, from its own integrals, the lowest of four states."""
    from pyscf import ao2mo, fci, gto, scf

    molecule = gto.M(atom=atom, basis="sto3g", verbose=0)
    field = scf.RHF(molecule).run()
    one = field.mo_coeff.T @ field.get_hcore() @ field.mo_coeff
    two = ao2mo.restore(1, ao2mo.kernel(molecule, field.mo_coeff), molecule.nao)
    found = fci.direct_spin1.kernel(
        one, two, molecule.nao, molecule.nelectron, ecore=molecule.energy_nuc(), conv_tol=1e-11, max_cycle=300,
        nroots=4,
    )  # fmt: skip
    return float(found[0][0])


WIDE = (
    "experiment=sqd", "backend=electrons", "tracking=off", "run.figures=false", "estimator.default_shots=2500",
    "experiment.batches=2", "experiment.iterations=4",
)  # fmt: skip
CHEMICAL_ACCURACY = 1.6e-3


@pytest.mark.nightly
@pytest.mark.parametrize("length", [0.9, 1.1, 1.5, 2.0, 2.5])
def test_nitrogen_comes_apart(workdir: Path, length: float) -> None:
    """N2 in ten orbitals, within 1.6 mHa of PySCF."""
    pytest.importorskip("qiskit_nature")
    geometry = f"N 0 0 0; N 0 0 {length}"
    found = run(compose(*WIDE, f"hamiltonian.geometry={geometry}"))

    assert found.energy == pytest.approx(exactly(geometry), abs=CHEMICAL_ACCURACY)
    assert found.energy > exactly(geometry) - 1e-7


@pytest.mark.nightly
@pytest.mark.parametrize("length", [0.9, 1.1, 1.5, 2.0, 2.5])
def test_nitrogen_under_the_noise_of_a_device(workdir: Path, length: float) -> None:
    """The same on a snapshot, whose noise spoils most shots, in minutes: within 1.6 mHa of PySCF.

    2500 shots a job name too few configurations at 2.0 Å: recovery stands still with a variance of 0.004 Ha².
    """
    pytest.importorskip("qiskit_nature")
    geometry = f"N 0 0 0; N 0 0 {length}"
    device = (
        "backend=fake_torino", "backend.trajectories=25", "ansatz.reps=1", "ansatz.pairs=heavy_hex",
        "ansatz.opposite=[0]", "experiment.jobs=2", "experiment.batches=2", "experiment.iterations=5",
        "experiment.samples_per_batch=1000", "estimator.default_shots=10000",
    )  # fmt: skip
    words = [word for word in WIDE if word.partition("=")[0] not in {one.partition("=")[0] for one in device}]
    found = run(compose(*words, *device, f"hamiltonian.geometry={geometry}"))

    assert found.energy == pytest.approx(exactly(geometry), abs=CHEMICAL_ACCURACY)
    assert found.table[-1]["valid"] < 0.5


@pytest.mark.nightly
def test_ten_hydrogen_atoms(workdir: Path) -> None:
    """A chain with 1 Å between neighbours, within 1.6 mHa of PySCF."""
    pytest.importorskip("qiskit_nature")
    geometry = "; ".join(f"H 0 0 {place}" for place in range(10))
    found = run(compose(*WIDE, f"hamiltonian.geometry={geometry}"))

    assert found.energy == pytest.approx(exactly(geometry), abs=CHEMICAL_ACCURACY)

"""Krylov subspaces: against dense algebra, from samples and from overlaps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from qiskit.quantum_info import SparsePauliOp, Statevector
from scipy.linalg import expm

from experiments.dynamics import trotterized
from experiments.krylov import Found, KrylovOverlaps, most_certain
from runner import RunResult, compose, resume, run
from runner.errors import ConfigError
from runner.hamiltonian.lattice import product_state
from runner.record.events import Checkpoint, Event
from runner.record.journal import read_journal
from runner.subspace.krylov import (
    by_flips,
    conserved,
    contrast,
    energy_of_overlaps,
    kept,
    lowest_within,
    numbers_of,
    reached,
    spectrum,
)
from runner.whatif.forecast import forecast
from tests.choices import choice
from tests.runtime.test_repetition import broken_off
from tests.test_run import events, goes_on

QUIET = ("tracking=off", "run.figures=false", "estimator.default_shots=2000")
SKQD = ("experiment=skqd", *QUIET, "hamiltonian.shape=[6]", "experiment.dimension=5")
OVERLAPS = ("experiment=krylov", *QUIET, "hamiltonian.shape=[4]", "experiment.dimension=4")


def dense(name: str, **settings: object) -> np.ndarray:
    """The matrix of a declared Hamiltonian."""
    return np.asarray(choice("hamiltonian", name, **settings).build().to_matrix())


def lowest(matrix: np.ndarray, ones: int) -> float:
    """The lowest eigenvalue among states with so many ones."""
    states = [state for state in range(len(matrix)) if state.bit_count() == ones]
    return float(np.linalg.eigvalsh(matrix[np.ix_(states, states)])[0])


@pytest.mark.parametrize("name", ["heisenberg", "hubbard", "siam"])
def test_a_product_formula_over_equal_flips_keeps_the_ones(name: str) -> None:
    """However coarse: no amplitude of another number of ones, and the same sum of terms."""
    settings: dict[str, object] = (
        {"bath": 2} if name == "siam" else {"shape": [4 if name == "heisenberg" else 3]}
    )
    hamiltonian = choice("hamiltonian", name, **settings).build()
    ordered = by_flips(hamiltonian)
    bits = tuple(int(place % 2) for place in range(hamiltonian.num_qubits))

    state = Statevector(trotterized(product_state(bits), ordered, 1.0, 1, 2)).data

    assert (ordered - hamiltonian).simplify().coeffs == pytest.approx(0)
    others = [number for number in range(len(state)) if number.bit_count() != sum(bits)]
    assert np.abs(state[others]).max() < 1e-12
    exact = expm(-0.01j * hamiltonian.to_matrix()) @ Statevector(product_state(bits)).data
    fine = Statevector(trotterized(product_state(bits), ordered, 0.01, 1, 2)).data
    assert np.abs(exact - fine).max() < 1e-4


def test_what_is_conserved_is_found() -> None:
    """All ones of an XXZ chain, electrons of either spin, nothing in a transverse field."""
    assert conserved(choice("hamiltonian", "xxz", shape=[4]).build()) == [0b1111]
    assert conserved(choice("hamiltonian", "hubbard", shape=[2]).build()) == [0b0011, 0b1100]
    assert conserved(choice("hamiltonian", "tfim", shape=[4]).build()) == []


def test_imaginary_hamiltonians_are_refused() -> None:
    """Their terms of equal flips need not commute."""
    with pytest.raises(ConfigError, match="odd number of Y"):
        by_flips(SparsePauliOp(["XY", "YX"]))


def test_shots_are_numbered_and_sifted() -> None:
    """By hand: 0101 is 5; ones are counted in each set of qubits by itself."""
    assert numbers_of(np.array([[0, 1, 0, 1], [1, 1, 0, 0]], dtype=bool)).tolist() == [5, 12]
    states = np.array([0b0101, 0b0110, 0b1100, 0b0011])
    assert kept(states, [0b0011, 0b1100], 0b0101).tolist() == [True, True, False, False]
    value, spread = contrast(np.array([0, 0, 4, 1]), 2)
    assert (value, spread) == pytest.approx((0.25, ((0.75 - 0.0625) / 4) ** 0.5))


def test_energies_come_out_of_exact_overlaps() -> None:
    """A state on four eigenstates: four overlaps of a fifth state's span give the lowest to rounding."""
    energies, weights = np.array([-2.0, -0.5, 0.7, 1.9]), np.array([0.3, 0.3, 0.2, 0.2])
    overlaps = [complex((weights * np.exp(-0.5j * energies * k)).sum()) for k in range(5)]

    found = energy_of_overlaps(overlaps, 0.5, 1e-12)

    assert found is not None
    assert (found.energy, found.rank) == (pytest.approx(-2.0, abs=1e-8), 4)
    assert found.uncertainty < 1e-6


def test_the_range_of_energies_holds_them_all() -> None:
    """Heisenberg chain of four with two ones, by dense algebra; beyond 14 qubits the bound is a bound."""
    hamiltonian = choice("hamiltonian", "heisenberg", shape=[4]).build()
    matrix = hamiltonian.to_matrix().real
    found = spectrum(hamiltonian, 2)

    assert found.vacuum == pytest.approx(matrix[0, 0])
    states = [state for state in range(16) if state.bit_count() == 2]
    wanted = np.abs(np.linalg.eigvalsh(matrix[np.ix_(states, states)]) - matrix[0, 0]).max()
    assert found.farthest == pytest.approx(wanted)
    assert spectrum(choice("hamiltonian", "heisenberg", shape=[15]).build(), 7).farthest == pytest.approx(
        2 * 3 * 14
    )


def test_siam_is_its_textbook_matrix() -> None:
    """Ladder operators as dense matrices, two sites: U, V and ε each where they belong, and half filling."""
    settings = {"bath": 1, "interaction": 3.0, "hybridization": 0.7, "bath_energy": 0.2}
    z, lower, one = np.diag([1.0, -1.0]), np.array([[0.0, 1.0], [0.0, 0.0]]), np.eye(2)

    def annihilates(orbital: int) -> np.ndarray:
        parts = [z if place < orbital else lower if place == orbital else one for place in range(4)]
        total = np.eye(1)
        for part in parts:
            total = np.kron(part, total)  # qubit 0 is the last factor
        return total

    d_up, c_up, d_down, c_down = (annihilates(orbital) for orbital in range(4))
    number = [each.T @ each for each in (d_up, c_up, d_down, c_down)]
    half = np.eye(16) / 2
    wanted = 3.0 * (number[0] - half) @ (number[2] - half) + 0.2 * (number[1] + number[3])
    for d, c in ((d_up, c_up), (d_down, c_down)):
        wanted = wanted + 0.7 * (d.T @ c + c.T @ d)

    hamiltonian = choice("hamiltonian", "siam", **settings).build()

    assert hamiltonian.to_matrix() == pytest.approx(wanted)
    assert hamiltonian.physics.electrons == (1, 1)
    assert sum(hamiltonian.physics.reference_state) == 2


def test_sampled_krylov_states_reach_the_ground_state(workdir: Path) -> None:
    """Heisenberg chain of six: the subspace grows, the energy falls to the exact one by dense algebra."""
    result = run(compose(*SKQD))

    wanted = lowest(dense("heisenberg", shape=[6]).real, 3)
    dimensions = [row["dimension"] for row in result.table]
    energies = [row["energy"] for row in result.table]
    assert dimensions == sorted(dimensions)
    assert dimensions[0] == 1, "the first state is the Néel state itself"
    assert energies == sorted(energies, reverse=True)
    assert dimensions[-1] == 20, "all of three ones among six"
    assert result.energy == pytest.approx(wanted, abs=1e-9)
    assert result.reference_energy == pytest.approx(wanted, abs=1e-9)


def test_noise_is_sifted_out_by_what_is_conserved(workdir: Path) -> None:
    """Every row is above the exact energy of the impurity model's electrons, and some shots are left out."""
    words = ("experiment=skqd", *QUIET, "hamiltonian=siam", "hamiltonian.bath=2", "backend=noisy")
    result = run(compose(*words, "experiment.dimension=4"))

    assert result.reference_energy is not None
    assert all(0.3 < row["valid"] < 1 for row in result.table)
    assert all(row["energy"] >= result.reference_energy - 1e-9 for row in result.table)
    assert result.energy == pytest.approx(result.reference_energy, abs=0.01)


def test_shots_serve_again(workdir: Path) -> None:
    """The same rows without a job; fewer states, a higher energy."""
    first = run(compose(*SKQD), directory="run")
    again = run(compose(*SKQD, "experiment.samples=run:run"), directory="again")
    fewer = run(compose(*SKQD, "experiment.samples=run:run", "experiment.max_states=4"), directory="fewer")

    assert again.table == first.table
    assert not events(again, "job.submitted")
    assert fewer.table[-1]["dimension"] == 4
    assert fewer.energy is not None
    assert first.energy is not None
    assert fewer.energy > first.energy


def found_by(result: RunResult) -> tuple[object, ...]:
    """What a run has found."""
    return result.energy, result.stddev, result.table


def test_overlaps_give_the_ground_state(workdir: Path) -> None:
    """Heisenberg chain of four, within two error bars and 0.1 J of the exact energy (dense algebra)."""
    words = ("experiment.dimension=8", "experiment.trotter_steps=6", "estimator.default_shots=20000")
    result = run(compose(*OVERLAPS, *words))

    assert result.energy is not None
    assert result.stddev is not None
    wanted = lowest(dense("heisenberg", shape=[4]).real, 2)
    assert result.stddev < 0.5
    assert abs(result.energy - wanted) < min(2 * result.stddev, 0.1)
    step = expm(-1j * 0.2 * dense("heisenberg", shape=[4]))
    hamiltonian = choice("hamiltonian", "heisenberg", shape=[4]).build()
    place = sum(bit << qubit for qubit, bit in enumerate(hamiltonian.physics.reference_state))
    state = np.eye(16)[place]
    for row in result.table:
        state = step @ state
        overlap = state[place]
        assert (row["real"], row["imaginary"]) == pytest.approx((overlap.real, overlap.imag), abs=0.05)


HOPPING = (
    "hamiltonian=pauli",
    "hamiltonian.terms=[[XXII,0.7],[YYII,0.7],[IXXI,-0.4],[IYYI,-0.4],[IIXX,0.9],[IIYY,0.9],[ZZII,0.3],[IIZZ,-0.5],"
    "[ZIII,0.35],[IIIZ,-0.2],[IIII,1.5]]",
    "experiment.initial_state='0001'",
)
"""Its lowest level is among states of two ones, and those of one have a level that 0001 has 0.8 % of."""


@pytest.mark.parametrize("experiment", ["skqd", "krylov"])
def test_references_are_of_what_the_start_leads_to(workdir: Path, experiment: str) -> None:
    """By dense algebra among states of a single one; Krylov states leave it out, and then nothing is compared."""
    words = ("experiment.dimension=7", "estimator.default_shots=100000")
    declared = compose(f"experiment={experiment}", *QUIET, *HOPPING, *words)
    result = run(declared)
    hamiltonian = declared.hamiltonian.build()
    wanted = lowest(np.asarray(hamiltonian.to_matrix()).real, 1)

    assert wanted == pytest.approx(-1.039168, abs=1e-6)
    assert reached(hamiltonian, 1).tolist() == [1, 2, 4, 8]
    assert result.table[-1]["exact"] == pytest.approx(wanted)
    if experiment == "skqd":
        assert result.energy == pytest.approx(wanted)
        assert result.reference_note == "exact diagonalization, of the 4 states that the initial one leads to"
    else:
        assert result.reference_energy is None
        assert "noise hides the lowest state" in result.stop_reason


CHAIN = ["hamiltonian=heisenberg", "hamiltonian.shape=[4]", "experiment.initial_state='1000'"]
TRIMER = [
    "hamiltonian=pauli",
    "hamiltonian.terms=[[XXI,0.1],[YYI,0.1],[ZZI,0.1],[IXX,0.1],[IYY,0.1],[IZZ,0.1],[IIZ,0.2],[III,{}]]",
    "experiment.initial_state='100'",
]


@pytest.mark.parametrize("experiment", ["skqd", "krylov"])
@pytest.mark.parametrize(
    "words",
    [
        [*CHAIN, "hamiltonian.coupling=1e-7", "experiment.step=2e6"],
        [*CHAIN, "hamiltonian.coupling=1e7", "experiment.step=2e-8"],
        [word.format("1e6") for word in TRIMER],
        [word.format("1e11") for word in TRIMER],
    ],
    ids=["small unit", "large unit", "offset", "large offset"],
)
def test_references_are_of_what_the_start_leads_to_in_any_unit(
    workdir: Path, experiment: str, words: list[str]
) -> None:
    """By dense algebra among states of a single one; of all states there are lower levels, in another sector."""
    declared = compose(f"experiment={experiment}", *QUIET, *words, "estimator.default_shots=100000")
    prepared = run(declared)
    matrix = np.asarray(declared.hamiltonian.build().to_matrix()).real
    wanted = lowest(matrix, 1)
    rounding = 64 * np.finfo(float).eps * np.abs(matrix).max()

    assert np.linalg.eigvalsh(matrix)[0] < wanted - 10 * rounding
    assert prepared.table[-1]["exact"] == pytest.approx(wanted, rel=0, abs=rounding)
    assert "hides the lowest" not in prepared.stop_reason
    assert prepared.reference_energy == prepared.table[-1]["exact"]
    if experiment == "skqd":
        assert prepared.energy == pytest.approx(wanted, rel=0, abs=rounding)


@pytest.mark.parametrize("constant", [0.0, 1e12])
def test_what_is_conserved_does_not_depend_on_a_constant(constant: float) -> None:
    """By pencil: XX + YY moves the one of 01 to 10, and keeps it one; the constant, an energy for all, does neither."""
    pair = SparsePauliOp.from_list([("XX", 0.1), ("YY", 0.1), ("II", constant)])
    field = SparsePauliOp.from_list([("ZZ", 0.1), ("IX", 0.1), ("II", constant)])

    assert conserved(pair) == [0b11]
    assert reached(pair, 0b01).tolist() == [1, 2]
    assert conserved(field) == []
    assert reached(field, 0b01).tolist() == [0, 1]


def test_a_run_goes_on_whose_reference_was_known_less_well(workdir: Path) -> None:
    """Rows with another exact energy, as earlier releases wrote them in small units: the shots are there to be used."""
    whole = run(compose(*SKQD), directory="whole")

    def known_less(recorded: list[Event]) -> list[Event]:
        return [
            Checkpoint.of(event.row, {**event.columns, "exact": -1.0, "error": event.columns["energy"] + 1.0})
            if isinstance(event, Checkpoint)
            else event
            for event in recorded
        ]

    recorded = read_journal(whole.directory / "journal.jsonl").events
    rows = [place for place, event in enumerate(recorded) if isinstance(event, Checkpoint)]
    gone_on = resume(broken_off(whole.directory, "less", rows[2] + 1, known_less))

    assert (gone_on.energy, gone_on.table) == (whole.energy, whole.table)


def test_symmetries_hide_levels() -> None:
    """By pencil: of one excitation on a ring of three the odd level, −6, has no part in the site between.

    The even ones are those of [[0, 2√2], [2√2, 6]]. An Ising chain in a transverse field leads everywhere.
    """
    bonds = [("XXI", 1.0), ("YYI", 1.0), ("IXX", 1.0), ("IYY", 1.0), ("XIX", 3.0), ("YIY", 3.0)]
    ring = SparsePauliOp.from_list(bonds)
    states = reached(ring, 0b010)

    assert lowest_within(ring, states, 0b010) == pytest.approx(3 - np.sqrt(17))
    assert lowest_within(ring, states, 0b001) == pytest.approx(-6)
    assert len(reached(choice("hamiltonian", "tfim", shape=[4]).build(), 0)) == 16


@pytest.mark.parametrize("words", [SKQD, OVERLAPS], ids=["skqd", "krylov"])
def test_runs_go_on_and_are_forecast(workdir: Path, words: tuple[str, ...]) -> None:
    """Cut anywhere, the same bits; what is charged was told beforehand."""
    declared = compose(*words)
    told = forecast(declared)
    whole = run(declared, directory="whole")
    goes_on(whole, 17, found_by)

    assert told.usage_seconds == pytest.approx(whole.usage_seconds, rel=0.05)
    assert told.shots == whole.shots


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ["experiment=krylov", "backend=fake_torino", "backend.trajectories=50"],
            "standard errors of overlaps",
        ),
        (["experiment=krylov", "hamiltonian=tfim"], "hamiltonian: does not keep the number of ones"),
        (["experiment=krylov", "experiment.step=1"], "experiment.step: is too long .* take less than"),
        (["experiment=krylov", "experiment.initial_state='000000'"], "experiment.initial_state: has no ones"),
        (["experiment=skqd", "experiment.initial_state='01'"], "experiment.initial_state: has 2 bits"),
        (["experiment=skqd", "hamiltonian.shape=[70]"], "hamiltonian: has 70 qubits; take at most 62"),
        (["experiment=skqd", "optimizer=spsa"], "optimizer: does not act in experiment=skqd"),
        (
            ["experiment=skqd", "experiment.dimension=1000", "experiment.trotter_steps=10000"],
            "experiment.trotter_steps: makes circuits of .* rotations together, more than 1 000 000; lower it",
        ),
        (
            ["experiment=krylov", "experiment.trotter_steps=5000"],
            "experiment.trotter_steps: makes circuits of",
        ),
        (["experiment=skqd", "experiment.order=3"], "experiment.order: must be 1, 2 or 4"),
    ],
)
def test_what_cannot_be_done_is_one_line(workdir: Path, words: list[str], line: str) -> None:
    """Before anything is created."""
    with pytest.raises(ConfigError, match=line):
        run(compose(*QUIET, *words))

    assert not list(workdir.iterdir())


@pytest.mark.parametrize(
    ("energies", "weights"),
    [
        pytest.param(
            [-8.5, -6.1, -4.3, -4.2, -1.6, -0.8],
            [0.34, 0.01, 0.35, 0.05, 0.13, 0.12],
            marks=pytest.mark.nightly,
        ),
        pytest.param(
            [-15.0, -13.0, -10.7, -9.7, -8.9, -6.5, -5.1, -3.6],
            [0.2, 0.31, 0.03, 0.01, 0.08, 0.1, 0.06, 0.21],
            marks=pytest.mark.nightly,
        ),
        ([-4.097, -3.866, -1.4, -1.1, 0.0, 1.6, 2.7], [0.11, 0.13, 0.22, 0.28, 0.04, 0.18, 0.04]),
        ([0.0], [1.0]),
    ],
    ids=["few", "many", "close", "eigenstate"],
)
def test_error_bars_of_noisy_overlaps_cover_the_truth(energies: list[float], weights: list[float]) -> None:
    """Overlaps of declared energies and weights with noise of 10 000 shots: within two bars in 18 of 20 draws."""
    experiment = KrylovOverlaps(dimension=16, step=0.2)
    phases = np.exp(-0.2j * np.outer(np.arange(17), energies))
    true = phases @ np.array(weights)
    spreads = [0j] + [complex(0.01, 0.01)] * 16
    covered = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        noise = rng.normal(size=(2, 17)) * 0.01
        measured = (true + noise[0] + 1j * noise[1]).tolist()
        measured[0] = 1 + 0j
        found = []
        for size in (8, 12, 14, 16):
            energy, bar, _ = experiment.lowest(measured[: size + 1], spreads[: size + 1], rng)
            assert energy is not None
            assert bar is not None
            found.append(Found(size, energy, bar))
        best = most_certain(found)
        assert best is not None
        covered.append(abs(best.energy - min(energies)) <= 2 * best.stddev)
        assert best.stddev < 0.6

    assert sum(covered) >= 18


def phases_of(name: str, **settings: object) -> tuple[np.ndarray, np.ndarray]:
    """Energies against the vacuum's, and the weights that the model's own start has in them: dense algebra."""
    matrix = dense(name, **settings)
    bits = KrylovOverlaps().bits(choice("hamiltonian", name, **settings).build())
    energies, vectors = np.linalg.eigh(matrix)
    weights = np.abs(vectors.conj().T @ Statevector(product_state(bits)).data) ** 2
    return energies - matrix[0, 0].real, weights


@pytest.mark.parametrize(
    ("name", "settings", "ones"),
    [("xxz", {"shape": [4]}, 2), pytest.param("siam", {"bath": 2}, 3, marks=pytest.mark.nightly)],
    ids=["xxz", "siam"],
)
def test_overlaps_that_noise_has_shrunk_tell_no_energy(
    name: str, settings: dict[str, object], ones: int
) -> None:
    """A device that keeps 80 % of the state in each step, on exact overlaps: no row says where an energy is.

    Without it, every energy that is told is within three bars of an exact one that the start has a part in.
    """
    energies, weights = phases_of(name, **settings)
    known = spectrum(choice("hamiltonian", name, **settings).build(), ones)
    experiment = KrylovOverlaps()
    times = np.arange(17)
    true = np.exp(-1j * experiment.step * np.outer(times, energies)) @ weights
    spreads = [0j] + [complex(0.01, 0.01)] * 16
    told = {1.0: 0, 0.8: 0}
    for seed in range(2):
        rng = np.random.default_rng(seed)
        noise = np.array([1, 1j]) @ rng.normal(size=(2, 17)) * 0.01
        noise[0] = 0
        for kept_in_a_step in told:
            measured = (kept_in_a_step**times * true + noise).tolist()
            for size in range(1, 17):
                energy, bar, _ = experiment.lowest(measured[: size + 1], spreads[: size + 1], rng)
                if energy is None or not known.tells(energy, bar, experiment.step):
                    continue
                told[kept_in_a_step] += 1
                if kept_in_a_step == 1:
                    assert np.abs(energies[weights > 1e-9] - energy).min() <= 3 * bar

    assert told[1.0] > 16
    assert told[0.8] == 0


def test_a_noisy_device_gives_no_energy_below_all_there_are(workdir: Path) -> None:
    """Three spins, whose energies span [-3.38, 2.38] (dense algebra): words in place of an energy of noise."""
    words = ("hamiltonian=xxz", "hamiltonian.shape=[3]", "backend=noisy", "experiment.dimension=5", "seed=1")
    result = run(compose("experiment=krylov", "tracking=off", "run.figures=false", *words))
    levels = np.linalg.eigvalsh(dense("xxz", shape=[3]))

    told = [row["energy"] for row in result.table if row["energy"] is not None]
    assert all(levels[0] - 1 < energy < levels[-1] + 1 for energy in told)
    assert result.energy is None
    assert "noise of the device or of shots leaves no energy" in result.stop_reason


def test_evolution_keeps_the_electrons_and_no_ansatz_is_told(workdir: Path) -> None:
    """That of an impurity, over equal flips, keeps both spins (the product formula's own test): nothing is outside."""
    words = ("hamiltonian=siam", "hamiltonian.bath=1", "experiment.dimension=2")
    result = run(compose("experiment=krylov", *QUIET, *words))
    begun = events(result, "run.started")[0]

    assert result.outside_sector == 0
    assert set(begun.unused) >= {"ansatz", "optimizer"}

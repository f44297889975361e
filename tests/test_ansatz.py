"""Ansätze: the circuits they give, where their parameters start, and what they refuse."""

import json

import numpy as np
import pytest
from qiskit.circuit.library import efficient_su2
from qiskit.quantum_info import Statevector

from runner.errors import ConfigError
from tests.choices import choice
from tests.journals import resulted


@pytest.fixture
def h2():
    """The hydrogen molecule."""
    return choice("hamiltonian", "h2").build()


def energy(circuit, point, operator):
    """⟨ψ(point)|operator|ψ(point)⟩."""
    return Statevector(circuit.assign_parameters(point)).expectation_value(operator).real


def start(declared, operator, seed=0, **options):
    """The starting point of a declared ansatz on an operator."""
    return declared.initial_point(declared.build(operator), operator, np.random.default_rng(seed), **options)


def test_efficient_su2_is_qiskits(h2):
    """The options reach qiskit's own function."""
    declared = choice("ansatz", "efficient_su2", reps=1, entanglement="pairwise", su2_gates=["ry"])

    theirs = efficient_su2(4, su2_gates=["ry"], entanglement="pairwise", reps=1)
    angles = list(range(8))
    assert declared.build(h2).assign_parameters(angles) == theirs.assign_parameters(angles)


@pytest.mark.parametrize("name", ["efficient_su2", "real_amplitudes"])
def test_hartree_fock_start_is_exactly_hartree_fock(name, h2):
    """The last layer of rotations prepares the Hartree–Fock determinant."""
    declared = choice("ansatz", name, initial="hartree_fock")
    point = start(declared, h2)

    expected = choice("hamiltonian", "h2").hartree_fock_energy
    assert energy(declared.build(h2), point, h2) == pytest.approx(expected, abs=1e-10)


def test_starts_are_what_they_say(h2):
    """zeros, random, small_random and reference differ only in centre and spread."""
    declared = {
        kind: choice("ansatz", "efficient_su2", initial=kind) for kind in ("zeros", "random", "small_random")
    }
    points = {kind: start(value, h2) for kind, value in declared.items()}

    assert not points["zeros"].any()
    assert np.pi / 2 < np.abs(points["random"]).max() <= np.pi
    assert 0 < np.abs(points["small_random"]).max() <= 0.1
    exact = start(choice("ansatz", "efficient_su2", initial="hartree_fock"), h2)
    near = start(choice("ansatz", "efficient_su2"), h2)
    assert 0.1 < np.abs(near - exact).max() <= 0.5


def test_random_starts_depend_on_the_seed_only(h2):
    """Equal seeds give equal points, others do not."""
    declared = choice("ansatz", "efficient_su2")

    assert np.array_equal(start(declared, h2, 3), start(declared, h2, 3))
    assert not np.array_equal(start(declared, h2, 3), start(declared, h2, 4))


def test_start_from_a_file_or_a_run(h2, tmp_path):
    """A JSON list, a column of numbers, and the result of an earlier run all give the same point."""
    values = [round(0.1 * index, 3) for index in range(24)]
    (tmp_path / "point.json").write_text(json.dumps(values))
    (tmp_path / "point.csv").write_text("\n".join(map(str, values)))
    (tmp_path / "earlier").mkdir()
    (tmp_path / "earlier" / "result.json").write_text(json.dumps(resulted(parameters=values)))

    for initial in (f"file:{tmp_path}/point.json", f"file:{tmp_path}/point.csv", "run:earlier"):
        assert start(choice("ansatz", "efficient_su2", initial=initial), h2, runs=tmp_path).tolist() == values


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reps": -1}, "ansatz.reps: must be at least 0, got -1"),
        ({"reps": 1.5}, "ansatz.reps: must be an integer, got 1.5"),
        ({"reps": "2"}, "ansatz.reps: must be an integer, got '2'"),
        ({"qubits": 0}, "ansatz.qubits: must be at least 1, got 0"),
        ({"entanglement": "lineer"}, "ansatz.entanglement: .*did you mean 'linear'"),
        ({"su2_gates": ["ry", "cx"]}, r"ansatz.su2_gates\[1\]: unknown choice 'cx'"),
        ({"su2_gates": []}, "ansatz.su2_gates: is empty"),
        ({"initial": "zero"}, "ansatz.initial: .*did you mean 'zeros'"),
        ({"initial": "run:"}, "ansatz.initial: 'run:' names nothing"),
        ({"initial": "values"}, "ansatz.initial_values: has 0 numbers"),
        ({"initial_values": [1.0]}, "ansatz.initial_values: has 1 numbers with initial=reference"),
        (
            {"initial": "values", "initial_values": [float("nan")]},
            r"ansatz.initial_values\[0\]: must be finite",
        ),
        (
            {"initial": "values", "initial_values": ["a"]},
            r"ansatz.initial_values\[0\]: must be a real number",
        ),
        ({"initial_spread": -1.0}, r"ansatz.initial_spread: must be in \[0, 2π\], got -1.0"),
    ],
)
def test_bad_values_are_refused(changes, message):
    """Each mistake is told in one line that names the key."""
    with pytest.raises(ConfigError, match=message):
        choice("ansatz", "efficient_su2", **changes)


@pytest.mark.parametrize(
    ("initial", "message"),
    [
        ("file:nowhere.json", "ansatz.initial: nowhere.json cannot be read"),
        ("run:nowhere", "ansatz.initial: no run 'nowhere'"),
    ],
)
def test_missing_starts_are_refused(initial, message, h2):
    """A file or run that is not there is named."""
    with pytest.raises(ConfigError, match=message):
        start(choice("ansatz", "efficient_su2", initial=initial), h2)


def test_a_start_of_the_wrong_length_is_refused(h2):
    """Numbers are never broadcast over parameters."""
    declared = choice("ansatz", "efficient_su2", initial="values", initial_values=[0.1, 0.2])

    with pytest.raises(ConfigError, match="has 2 numbers, the ansatz 24 parameters"):
        start(declared, h2)


def test_hartree_fock_needs_a_reference_state():
    """An operator that is no molecule has no Hartree–Fock state, and that is said; its default start is random."""
    operator = choice("hamiltonian", "two_qubit").build()

    with pytest.raises(ConfigError, match="no reference state"):
        start(choice("ansatz", "efficient_su2", initial="hartree_fock"), operator)
    assert 0.5 < np.abs(start(choice("ansatz", "efficient_su2"), operator)).max() <= np.pi

"""Electrons over orbitals and the states among some of their configurations, by dense algebra and by PySCF."""

from __future__ import annotations

import itertools
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from runner.errors import ConfigError
from runner.hamiltonian.fermion import electronic
from runner.hamiltonian.integrals import Integrals
from runner.hamiltonian.sector import matrix_among, sector_energy
from runner.review.figures.subspace import subspace
from runner.subspace.extrapolation import to_no_variance
from tests.choices import choice

if TYPE_CHECKING:
    from runner.hamiltonian.declared import HamiltonianConfig

needs_subspaces = pytest.mark.skipif(
    any(find_spec(name) is None for name in ("qiskit_addon_sqd", "ffsim", "pyscf")),
    reason="needs the extra [sqd]",
)


def chain(atoms: int = 4) -> Integrals:
    """Hydrogen at 1.2 Å."""
    found = choice("hamiltonian", "hydrogen", atoms=atoms, bond_length=1.2).integrals()
    assert found is not None
    return found


@needs_subspaces
def test_integrals_are_those_of_the_operator() -> None:
    """FCI by PySCF from the integrals is the lowest eigenvalue of the operator on qubits among its electrons."""
    from runner.subspace.electrons import full

    integrals = chain()
    operator = electronic(integrals.one_body, integrals.two_body, integrals.constant)

    assert integrals.determinants == 36
    assert full(integrals) == pytest.approx(sector_energy(operator, (2, 2), "jordan_wigner"), abs=1e-9)


@needs_subspaces
def test_a_molecules_integrals_are_pyscfs() -> None:
    """LiH with a frozen core: full configuration interaction by PySCF's own CASCI of the same orbitals."""
    from pyscf import gto, mcscf, scf

    from runner.subspace.electrons import full

    declared = choice("hamiltonian", "molecule", geometry="Li 0 0 0; H 0 0 1.6", frozen_core=True)
    molecule = gto.M(atom="Li 0 0 0; H 0 0 1.6", basis="sto3g", verbose=0)
    wanted = mcscf.CASCI(scf.RHF(molecule).run(), 5, 2).kernel()[0]

    assert full(declared.integrals()) == pytest.approx(wanted, abs=1e-8)


@needs_subspaces
def test_the_state_among_some_configurations_is_that_of_the_dense_matrix() -> None:
    """Energy, spin, occupancies and variance of the lowest eigenvector of H between those determinants."""
    from runner.subspace.electrons import among

    integrals = chain()
    operator = electronic(integrals.one_body, integrals.two_body, integrals.constant)
    chosen = np.array([0b0011, 0b0101, 0b1010])
    states = np.sort([up + (down << 4) for up, down in itertools.product(chosen, chosen)])

    found = among(integrals, (chosen, chosen))

    energies, vectors = np.linalg.eigh(matrix_among(operator, states).toarray())
    assert found.dimension == 9
    assert found.energy == pytest.approx(energies[0], abs=1e-8)
    vector = np.zeros(256)
    vector[states] = vectors[:, 0]
    image = operator.to_matrix().real @ vector
    assert found.variance == pytest.approx(image @ image - energies[0] ** 2, abs=1e-6)
    occupied = [(vector**2) @ (np.arange(256) >> qubit & 1) for qubit in range(8)]
    assert [*found.occupancies[0], *found.occupancies[1]] == pytest.approx(occupied, abs=1e-4)


def roots(declared: HamiltonianConfig, count: int) -> list[tuple[float, float]]:
    """Energy and S² of the lowest states by PySCF's own search for several."""
    from pyscf import fci

    found = declared.integrals()
    assert found is not None
    solver = fci.direct_spin1.FCI()
    one, two, size, electrons = found.one_body, found.two_body, found.orbitals, found.electrons
    energies, states = solver.kernel(one, two, size, electrons, nroots=count, tol=1e-11, max_cycle=300)
    squares = [fci.spin_op.spin_square0(state, size, electrons)[0] for state in states]
    return [(float(e) + found.constant, float(s)) for e, s in zip(energies, squares, strict=True)]


@needs_subspaces
@pytest.mark.nightly  # by day H4 below
def test_the_lowest_of_states_close_together_is_found() -> None:
    """N2 pulled apart: singlet, triplet and quintet within 5 mHa; a search from one determinant takes another."""
    pytest.importorskip("qiskit_nature")
    from pyscf import fci

    from runner.subspace.electrons import among, full

    declared = choice("hamiltonian", "molecule", geometry="N 0 0 0; N 0 0 2.5")
    integrals = declared.integrals()
    wanted = roots(declared, 4)
    assert [square for _, square in wanted[:3]] == pytest.approx([0, 2, 6], abs=1e-3)

    assert full(integrals) == pytest.approx(wanted[0][0], abs=1e-7)
    every = np.asarray(fci.cistring.make_strings(range(10), 7))
    part = among(integrals, (every[:-1], every[:-1]))
    assert part.converged
    assert part.dimension == 119**2
    assert part.energy >= wanted[0][0] - 1e-8
    assert part.energy == pytest.approx(wanted[0][0], abs=1e-3)
    assert part.spin_square == pytest.approx(0, abs=1e-2)


@needs_subspaces
def test_the_lowest_state_of_a_square_is_no_triplet() -> None:
    """H4 as a square of 1 Å, 36 states: the dense matrix on qubits."""
    pytest.importorskip("qiskit_nature")
    from runner.hamiltonian.sector import Sector
    from runner.subspace.electrons import among

    declared = choice("hamiltonian", "molecule", geometry="H 0 0 0; H 0 1 0; H 1 0 0; H 1 1 0")
    every = np.array([up for up in range(16) if up.bit_count() == 2])
    matrix = matrix_among(declared.build(), Sector(up=2, down=2, qubits=8).states()).toarray()

    found = among(declared.integrals(), (every, every))

    assert found.energy == pytest.approx(np.linalg.eigvalsh(matrix)[0], abs=1e-9)
    assert found.spin_square == pytest.approx(0, abs=1e-9)


@needs_subspaces
@pytest.mark.parametrize("electrons", [(2, 0), (0, 1), (3, 1), (4, 0), (4, 2)])
def test_open_shells_have_the_energies_of_the_dense_matrix(electrons: tuple[int, int]) -> None:
    """Every configuration of four orbitals, spins without electrons as well."""
    from runner.hamiltonian.sector import Sector
    from runner.subspace.electrons import among, full

    closed = chain()
    integrals = Integrals(closed.one_body, closed.two_body, closed.constant, electrons)
    operator = electronic(closed.one_body, closed.two_body, closed.constant)
    states = Sector(up=electrons[0], down=electrons[1], qubits=8).states()
    wanted = np.linalg.eigvalsh(matrix_among(operator, states).toarray())[0]
    every = [np.array([s for s in range(16) if s.bit_count() == count]) for count in electrons]

    assert full(integrals) == pytest.approx(wanted, abs=1e-9)
    assert among(integrals, (every[0], every[1])).energy == pytest.approx(wanted, abs=1e-9)


@needs_subspaces
def test_wide_electrons_are_not_asked_for_a_state_vector() -> None:
    """Twelve orbitals are 24 qubits; their sector with one electron of either spin has 144 states (combinatorics)."""
    from runner.subspace.electrons import require, seconds, strings

    wide = Integrals(np.zeros((12, 12)), np.zeros((12,) * 4), 0.0, (1, 1))

    assert (wide.determinants, strings(wide, 1000), strings(wide, 5)) == (144, (12, 12), (5, 5))
    require(wide, 1000)
    assert seconds(wide, 1000, 4) == pytest.approx(2 * seconds(wide, 1000, 2))
    huge = Integrals(np.zeros((40, 40)), np.zeros((1,) * 4), 0.0, (20, 20))
    with pytest.raises(
        ConfigError, match=r"experiment.max_strings: a subspace of 10000000 × 10000000 .*; lower it"
    ):
        require(huge, 10**7)


@needs_subspaces
def test_lucj_keeps_the_electrons_and_lowers_the_energy() -> None:
    """All of its state is in the sector, and with every term of T2 its energy is below Hartree and Fock's."""
    from qiskit.quantum_info import Statevector

    from runner.hamiltonian.sector import Sector

    integrals = chain()
    circuit = choice("ansatz", "lucj", reps=3, pairs="all").of_electrons(integrals)
    state = Statevector(circuit)
    operator = electronic(integrals.one_body, integrals.two_body, integrals.constant)

    assert Sector(up=2, down=2, qubits=8).outside(state.data) < 1e-12
    lowest = Statevector.from_int(0b00110011, 256)
    assert state.expectation_value(operator).real < lowest.expectation_value(operator).real - 0.01


@needs_subspaces
def test_lucj_lies_on_a_heavy_hex_device_along_its_couplings() -> None:
    """No gate between qubits that are not neighbours, and no swaps but those over the qubit between both spins."""
    from qiskit.providers.fake_provider import GenericBackendV2
    from qiskit.transpiler import CouplingMap, generate_preset_pass_manager

    ansatz = choice("ansatz", "lucj", pairs="heavy_hex")
    circuit = ansatz.of_electrons(chain(6))
    gates = ["cz", "id", "rz", "sx", "x"]
    device = GenericBackendV2(57, gates, coupling_map=CouplingMap.from_heavy_hex(5), seed=1)
    anywhere = generate_preset_pass_manager(1, GenericBackendV2(12, gates, seed=1), seed_transpiler=1)

    placed = ansatz.passes(circuit, device, 1, 1).run(circuit)

    edges = {frozenset(edge) for edge in device.coupling_map.get_edges()}
    pairs = [frozenset(placed.find_bit(bit).index for bit in item.qubits) for item in placed.data]
    assert all(pair in edges for pair in pairs if len(pair) == 2)
    assert (
        placed.num_nonlocal_gates() <= anywhere.run(circuit).num_nonlocal_gates() + 2 * 2 * 3
    )  # 2 pairs, 2 swaps


@needs_subspaces
def test_open_shells_are_refused_by_lucj() -> None:
    """It is spin-balanced."""
    closed = chain()
    with pytest.raises(
        ConfigError, match=r"lucj needs closed shells .*; choose ansatz=uccsd and, .* backend=ideal or noisy"
    ):
        choice("ansatz", "lucj").of_electrons(Integrals(closed.one_body, closed.two_body, 0.0, (3, 1)))


def test_a_straight_line_is_continued_to_its_end() -> None:
    """E = −1 + 2 V exactly; uncertain by a quarter of the way that is left (pencil)."""
    found = to_no_variance([(0.3, -0.4), (0.2, -0.6), (0.1, -0.8)])

    assert found == pytest.approx((-1.0, 0.05))
    assert to_no_variance([(0.3, -0.4), (0.2, -0.6)]) is None
    small = to_no_variance([(0.3e-16, -0.4e-8), (0.2e-16, -0.6e-8), (0.1e-16, -0.8e-8)])  # in another unit
    assert small == pytest.approx([1e-8 * one for one in found], rel=1e-9, abs=0)
    assert to_no_variance([(0.3, -0.4), (None, -0.6), (0.1, -0.8)]) is None
    assert to_no_variance([(0.3, -0.4), (0.2, -0.6), (0.0, -1.0)]) is None


def test_the_figure_shows_what_is_told(tmp_path: Path) -> None:
    """Three parts with variances and occupancies, one without; none for other tables."""
    rows = [
        {
            "dimension": 4,
            "energy": -1.0,
            "variance": 0.2,
            "occupancies": [1.9, 0.1],
            "extrapolated": None,
            "spin_square": 0.0,
        },
        {
            "dimension": 9,
            "energy": -1.1,
            "variance": 0.1,
            "occupancies": [1.8, 0.2],
            "extrapolated": -1.2,
            "spin_square": 0.0,
        },
    ]
    whole = subspace(rows, -1.2, "Hartree")
    part = subspace([{"dimension": 2, "energy": -1.0}], None, "J")

    assert whole is not None
    assert [axes.get_xlabel() for axes in whole.axes] == [
        "dimension of the subspace", "variance of the energy (Hartree²)", "orbital",
    ]  # fmt: skip
    line = [one.get_xydata() for one in whole.axes[1].lines if len(one.get_xydata()) == 2]
    assert any(ends.ravel() == pytest.approx([0, -1.2, 0.2, -1.0]) for ends in line), "to no variance"
    assert part is not None
    assert len(part.axes) == 1
    assert subspace([{"time": 1.0}], None, "J") is None


def test_subspaces_without_an_energy_are_left_out() -> None:
    """Noise leaves the first without one and the third without a bar: 0.25 ± 0.125, 0.125 and 0.0625 ± 0.5 by hand."""
    energies, spreads = (None, -1.0, -1.125, -1.1875), (None, 0.125, None, 0.5)
    rows = [
        {"dimension": n, "energy": energy, "stddev": stddev, "exact": -1.25, "real": 0.3}
        for n, energy, stddev in zip((1, 2, 3, 4), energies, spreads, strict=True)
    ]

    figure = subspace(rows, -1.25, "J")

    assert figure is not None
    (points, _, (bars,)) = figure.axes[0].containers[0].lines
    assert points.get_xydata().tolist() == [[2, 0.25], [3, 0.125], [4, 0.0625]]
    assert [ends[1, 1] - ends[0, 1] for ends in bars.get_segments() if len(ends)] == [0.25, 1.0]
    assert figure.axes[0].get_ylabel() == "|energy − exact| (J)"
    assert subspace(rows[:1], -1.25, "J") is None

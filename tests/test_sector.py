"""Energies belong to the electrons they were declared for: against PySCF, dense algebra and pencil and paper."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.quantum_info import SparsePauliOp, Statevector

from runner import compose, run
from runner.display.words import outside_in_words
from runner.errors import ConfigError
from runner.hamiltonian.fermion import MAPPERS, remap
from runner.hamiltonian.molecule import HydrogenChain, MoleculeGeometry
from runner.hamiltonian.operator import Hamiltonian
from runner.hamiltonian.physics import Physics
from runner.hamiltonian.sector import Sector, levels, lowest, matrix_among, sector_of
from runner.run.problem import Problem
from tests.choices import choice
from tests.test_run import events

EXACT = ("tracking=off", "run.figures=false", "estimator=exact", "optimizer=l_bfgs_b")

FCI = {
    ("h2", 1, 1): (-1.13730604, -0.52461556, -0.16275316),
    ("h2", 1, 0): (-0.53637008, 0.24807299),
    ("h2", 2, 0): (-0.52461556,),
    ("h4", 2, 2): (-2.18031661, -1.89161012, -1.63453242),
    ("h4", 2, 1): (-1.76590147, -1.54347524, -1.32853251),
    ("lih", 1, 1): (-7.88209660, -7.76600491, -7.74871485),
    ("lih", 2, 0): (-7.76600491, -7.71609053, -7.71609053),
    ("lih_4q", 1, 1): (-7.87643664, -7.48273004, -7.23512829),
    ("beh2", 2, 2): (-15.58944823, -15.14327000, -15.10144542),
    ("beh2", 3, 1): (-15.14327000, -15.10144542, -14.69901534),
    ("h2o", 2, 2): (-74.97055107, -74.56893069, -74.49091513),
    ("h2o", 2, 1): (-74.60748140, -74.52927369, -73.97956928),
}
"""(molecule, N↑, N↓) → lowest energies in Hartree: PySCF 2.14.0, `fci.direct_spin1` on CASCI integrals of RHF."""

GEOMETRIES = {
    "h2": ("H 0 0 0; H 0 0 0.735", (2, 2), [0, 1]),
    "h4": ("H 0 0 0; H 0 0 0.9; H 0 0 1.8; H 0 0 2.7", (4, 4), [0, 1, 2, 3]),
    "lih": ("Li 0 0 0; H 0 0 1.6", (5, 2), [1, 2, 3, 4, 5]),
    "lih_4q": ("Li 0 0 0; H 0 0 1.6", (2, 2), [1, 5]),
    "beh2": ("H 0 0 -1.33; Be 0 0 0; H 0 0 1.33", (4, 4), [1, 2, 5, 6]),
    "h2o": ("O 0 0 0; H 0 0.757797 0.586749; H 0 -0.757797 0.586749", (4, 4), [3, 4, 5, 6]),
}
"""Molecule → atoms in Å, (orbitals, electrons) that are active, and which orbitals those are."""


def with_electrons(operator: SparsePauliOp, up: int, down: int, mapper: str = "jordan_wigner") -> Hamiltonian:
    """The operator for other numbers of electrons."""
    return Hamiltonian(operator, physics=Physics(electrons=(up, down), mapper=mapper))


def by_counting(operator: SparsePauliOp, up: int, down: int) -> np.ndarray:
    """Dense eigenvalues of the Jordan–Wigner basis states whose labels have so many ones in either half."""
    half = operator.num_qubits // 2
    labels = ["".join(bits) for bits in itertools.product("01", repeat=2 * half)]
    inside = [
        int(label, 2) for label in labels if (label[half:].count("1"), label[:half].count("1")) == (up, down)
    ]
    return np.linalg.eigvalsh(operator.to_matrix()[np.ix_(inside, inside)])


@pytest.mark.parametrize(("name", "up", "down"), list(FCI))
def test_levels_are_those_of_full_configuration_interaction(name, up, down):
    """The lowest energies of the shipped molecules and their ions, against what PySCF gave (see FCI)."""
    expected = FCI[name, up, down]
    operator = with_electrons(choice("hamiltonian", name).build(), up, down)

    assert levels(operator, len(expected)) == pytest.approx(list(expected), abs=2e-8)


@pytest.mark.parametrize("name", list(GEOMETRIES))
def test_pyscf_gives_these_levels_today(name):
    """The same by a fresh PySCF calculation of every sector with one electron moved, removed or added."""
    pyscf = pytest.importorskip("pyscf")
    from pyscf import ao2mo, fci, mcscf

    atoms, (orbitals, electrons), active = GEOMETRIES[name]
    field = pyscf.scf.RHF(pyscf.gto.M(atom=atoms, basis="sto3g", verbose=0)).run()
    space = mcscf.CASCI(field, orbitals, electrons)
    frame = space.sort_mo(active, base=0)
    one_body, core = space.get_h1eff(frame)
    two_body = ao2mo.restore(1, space.get_h2eff(frame), orbitals)
    operator, half = choice("hamiltonian", name).build(), electrons // 2
    for up, down in ((half, half), (half + 1, half - 1), (half, half - 1), (half + 1, half)):
        ours = levels(with_electrons(operator, up, down), 3)
        theirs, _ = fci.direct_spin1.FCISolver().kernel(
            one_body, two_body, orbitals, (up, down), nroots=len(ours), ecore=core
        )
        assert ours == pytest.approx(np.atleast_1d(theirs).tolist(), abs=1e-7)


def test_a_triplet_occurs_once_in_each_sector():
    """H2's first excited level is a triplet: in (1, 1), (2, 0) and (0, 2), the three S_z (PySCF, see FCI)."""
    operator = choice("hamiltonian", "h2").build()

    assert levels(operator, 2)[1] == pytest.approx(-0.52461556, abs=1e-8)
    for electrons in ((2, 0), (0, 2)):
        assert levels(with_electrons(operator, *electrons), 1)[0] == pytest.approx(-0.52461556, abs=1e-8)


@pytest.mark.parametrize("mapper", MAPPERS)
@pytest.mark.parametrize("atoms", [2, 4])
def test_every_mapping_has_the_same_levels_in_every_sector(mapper, atoms):
    """A sector does not depend on the mapping; its levels are dense eigenvalues of states counted by hand."""
    plain = HydrogenChain(name="h", atoms=atoms).build()
    mapped = HydrogenChain(name="h", atoms=atoms, mapper=mapper).build()
    for up, down in itertools.product(range(atoms + 1), repeat=2):
        expected = by_counting(plain, up, down)
        assert levels(with_electrons(mapped, up, down, mapper), 100) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("mapper", MAPPERS)
def test_molecules_of_qiskit_nature_have_the_levels_of_their_sector(mapper):
    """LiH in two orbitals, mapped by qiskit-nature: the levels of PySCF (see FCI) and a reference state inside."""
    pytest.importorskip("pyscf")
    pytest.importorskip("qiskit_nature")
    operator = MoleculeGeometry(
        name="molecule", geometry=GEOMETRIES["lih_4q"][0], active_space=[2, 2], active_orbitals=[1, 5],
        mapper=mapper,
    ).build()  # fmt: skip

    assert levels(operator, 3) == pytest.approx(FCI["lih_4q", 1, 1], abs=1e-6)
    number = sum(bit << qubit for qubit, bit in enumerate(operator.physics.reference_state))
    assert number in sector_of(operator).states()


def test_an_ion_has_its_own_sector():
    """H2⁺ by its charge: −0.5363700786 Ha (PySCF FCI, charge 1)."""
    pytest.importorskip("pyscf")
    pytest.importorskip("qiskit_nature")
    ion = MoleculeGeometry(name="molecule", geometry="H 0 0 0; H 0 0 0.735", charge=1, spin=1).build()

    assert str(sector_of(ion)) == "N↑=1, N↓=0"
    assert ion.physics.reference_energy == pytest.approx(-0.5363700786, abs=1e-8)


@pytest.mark.parametrize("mapper", MAPPERS)
def test_number_operators_count(mapper):
    """N↑ and N↓ of every basis state inside are the numbers declared, and the penalty is zero there only."""
    sector = Sector(up=2, down=1, qubits=6, mapper=mapper)
    up, down = (np.diag(number.to_matrix()).real for number in sector.numbers())
    penalty = np.diag(sector.penalty().to_matrix()).real
    inside = np.isin(np.arange(64), sector.states())

    assert inside.sum() == sector.dimension == 9  # (3 over 2) · (3 over 1)
    assert set(up[inside]) == {2.0}
    assert set(down[inside]) == {1.0}
    assert np.allclose(penalty[inside], 0)
    assert penalty[~inside].min() == pytest.approx(1)


@pytest.mark.parametrize("mapper", MAPPERS)
def test_the_share_outside_is_that_of_the_state(mapper):
    """√0.3 of two electrons and √0.7 of one, written in the mapping: 70 % are outside of (1, 1)."""
    circuit_state = np.zeros(16, dtype=complex)
    inside = Sector(up=1, down=1, qubits=4, mapper=mapper).states()[2]
    beside = Sector(up=1, down=0, qubits=4, mapper=mapper).states()[0]
    circuit_state[inside], circuit_state[beside] = 0.3**0.5, 1j * 0.7**0.5

    share = Sector(up=1, down=1, qubits=4, mapper=mapper).outside(Statevector(circuit_state).data)
    assert share == pytest.approx(0.7)


def test_the_matrix_among_states_is_the_block_of_the_whole():
    """Random operators with complex entries: the block of the dense matrix of qiskit.quantum_info."""
    rng = np.random.default_rng(3)
    labels = ["".join(rng.choice(list("IXYZ"), 5)) for _ in range(60)]
    operator = SparsePauliOp(labels, rng.normal(size=60))
    states = np.sort(rng.choice(32, 11, replace=False))

    found = matrix_among(operator, states).toarray()
    assert found == pytest.approx(operator.to_matrix()[np.ix_(states, states)])


def test_lanczos_overlooks_no_degenerate_level():
    """A ring of twelve spins, 4 096 states: above the singlet lies a triplet, thrice; dense values of S_z = 0."""
    ring = choice("hamiltonian", "heisenberg", shape=[12], periodic=True).build()
    balanced = np.array([state for state in range(4096) if state.bit_count() == 6])
    dense = np.linalg.eigvalsh(matrix_among(ring, balanced).toarray())

    found = levels(ring, 4)
    assert found == pytest.approx([dense[0], dense[1], dense[1], dense[1]], abs=1e-8)
    assert found.tolist() == levels(ring, 4).tolist()


def test_lanczos_and_dense_agree_in_a_sector():
    """Six Hubbard sites at half filling, 400 states, both ways."""
    operator = choice("hamiltonian", "hubbard", shape=[2, 3]).build()
    block = matrix_among(operator, sector_of(operator).states())

    dense = np.linalg.eigvalsh(block.toarray())
    from runner.hamiltonian import sector

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sector, "DENSE_STATES", 10)
        assert lowest(block, 6) == pytest.approx(dense[:6], abs=1e-8)


def test_sixteen_qubits_of_electrons_have_a_reference():
    """Eight Hubbard sites, U = 0: twice the four lowest energies −2 cos(kπ/9) of the open chain, half filled."""
    operator = choice("hamiltonian", "hubbard", shape=[8], interaction=0.0).build()

    orbitals = -2 * np.cos(np.arange(1, 9) * np.pi / 9)
    assert levels(operator, 1)[0] == pytest.approx(2 * orbitals[:4].sum(), abs=1e-8)


def test_too_many_states_have_no_levels():
    """Ten sites at half filling are 252² states; 15 spins are 2^15."""
    assert levels(choice("hamiltonian", "hubbard", shape=[10]).build(), 1) is None
    assert levels(choice("hamiltonian", "tfim", shape=[15]).build(), 1) is None


@pytest.mark.parametrize(
    ("changes", "energy", "electrons"),
    [
        ({"chemical_potential": 0.0}, 2 - 2 * 2**0.5, (1, 1)),
        ({"chemical_potential": 0.0, "electrons": [1, 0]}, -1.0, (1, 0)),
        ({"chemical_potential": 0.0, "electrons": [2, 2]}, 8.0, (2, 2)),
        ({}, 2 - 2 * 2**0.5 - 4, (1, 1)),
        ({"chemical_potential": 0.0, "sector": "all"}, -1.0, None),
    ],
)
def test_two_hubbard_sites_by_hand(changes, energy, electrons):
    """(U − √(U² + 16t²))/2 for one electron of each spin, −t for one, 2U for four, and −µN; here t = 1, U = 4."""
    operator = choice("hamiltonian", "hubbard", **changes).build()

    assert levels(operator, 1)[0] == pytest.approx(energy)
    sector = sector_of(operator)
    assert (sector and (sector.up, sector.down)) == electrons


@pytest.mark.parametrize(
    ("lattice", "shape"),
    [("square", [2]), ("square", [3]), ("square", [2, 2]), ("triangular", [1, 3]), ("kagome", [1, 1])],
)
def test_every_filling_of_hubbard_starts_in_its_sector(lattice, shape):
    """Reference state and HVA start have the electrons declared, whatever their number and the lattice."""
    sites = choice("hamiltonian", "hubbard", lattice=lattice, shape=shape).sites
    for up, down in itertools.product(range(sites + 1), repeat=2):
        operator = choice(
            "hamiltonian", "hubbard", lattice=lattice, shape=shape, electrons=[up, down]
        ).build()
        start = Statevector(operator.physics.preparation)
        bits = operator.physics.reference_state
        assert sector_of(operator).outside(start.data) == pytest.approx(0)
        assert (sum(bits[:sites]), sum(bits[sites:])) == (up, down)


@pytest.mark.parametrize(
    ("lattice", "shape"), [("square", [5]), ("triangular", [2, 2]), ("kagome", [2, 1]), ("honeycomb", [1, 1])]
)
def test_half_filling_starts_from_singlets_inside(lattice, shape):
    """One electron per site, as many of either spin as there can be, also where a lattice has no two sublattices."""
    operator = choice("hamiltonian", "hubbard", lattice=lattice, shape=shape).build()
    sites = operator.num_qubits // 2
    start = Statevector(operator.physics.preparation)

    assert (sector_of(operator).up, sector_of(operator).down) == ((sites + 1) // 2, sites // 2)
    assert sector_of(operator).outside(start.data) == pytest.approx(0)
    occupied = SparsePauliOp.from_sparse_list(
        [("ZZ", [site, site + sites], 1.0) for site in range(sites)], 2 * sites
    )
    assert start.expectation_value(occupied).real == pytest.approx(-sites)  # nowhere two, nowhere none


@pytest.mark.parametrize(
    ("name", "changes", "line"),
    [
        ("h2", {"sector": "one"}, "hamiltonian.sector: unknown choice 'one'"),
        ("hydrogen", {"sector": "one"}, "hamiltonian.sector: unknown choice 'one'"),
        ("molecule", {"sector": "one"}, "hamiltonian.sector: unknown choice 'one'"),
        ("hubbard", {"sector": "one"}, "hamiltonian.sector: unknown choice 'one'"),
        (
            "hubbard",
            {"electrons": [1]},
            r"hamiltonian.electrons: must be \[up, down\] or empty, got 1 numbers",
        ),
        ("hubbard", {"electrons": [1, 3]}, r"hamiltonian.electrons\[1\]: must be at most 2, got 3"),
    ],
)
def test_bad_sectors_are_refused(name, changes, line):
    """Each mistake is told in one line that names the key."""
    with pytest.raises(ConfigError, match=line):
        choice("hamiltonian", name, **changes)


def test_terms_of_another_mapping_are_refused():
    """Jordan–Wigner terms called parity would count something else than electrons; so would tapered qubits."""
    with pytest.raises(
        ConfigError, match=r"hamiltonian\.mapper: the terms do not keep the numbers of electrons"
    ):
        choice("hamiltonian", "h2", mapper="parity").build()
    operator = remap(choice("hamiltonian", "h2").build(), "parity")
    table = "\n".join(f"{label} {value.real!r}" for label, value in operator.to_list())
    mapped = choice("hamiltonian", "h2", mapper="parity", terms=[], table=table).build()
    assert levels(mapped, 2) == pytest.approx(FCI["h2", 1, 1][:2], abs=1e-8)


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (
            ["hamiltonian=h2", "hamiltonian.electrons=[1,0]"],
            r"hamiltonian\.reference_energy: is -1\.137306, but the lowest energy with N↑=1, N↓=0 is -0\.536370; "
            "set it to null",
        ),
        (
            ["experiment=vqd", "hamiltonian=h2", "experiment.levels=5"],
            r"experiment\.levels: the sector N↑=1, N↓=1 has 4 states, got 5",
        ),
        (["experiment=vqd", "experiment.sector_penalty=-1"], r"experiment\.sector_penalty: must be at least 0"),
    ],
)  # fmt: skip
def test_what_the_sector_does_not_have_is_refused(workdir: Path, overrides: list[str], line: str) -> None:
    """One line, nothing created."""
    with pytest.raises(ConfigError, match=line):
        run(compose("tracking=off", "run.figures=false", *overrides))

    assert list(workdir.iterdir()) == []


@pytest.mark.parametrize("ansatz", [("ansatz=efficient_su2",), ("ansatz=uccsd", "ansatz.reps=2")])
def test_vqd_stays_with_the_molecule(workdir: Path, ansatz: tuple[str, ...]) -> None:
    """H2's ground state, triplet and first excited singlet (PySCF, see FCI), and nothing of H2⁺ at −0.536370."""
    result = run(compose("experiment=vqd", "hamiltonian=h2", *ansatz, *EXACT))

    assert [row["energy"] for row in result.table] == pytest.approx(list(FCI["h2", 1, 1]), abs=1e-6)
    assert [row["exact"] for row in result.table] == pytest.approx(list(FCI["h2", 1, 1]), abs=1e-8)
    assert result.reference_note == "exact diagonalization, sector N↑=1, N↓=1"
    assert ("outside" in result.table[0]) == (ansatz[0] == "ansatz=efficient_su2")


def test_vqd_without_the_penalty_tells_where_it_went(workdir: Path) -> None:
    """The second level found is H2⁺ (PySCF, charge 1: −0.5363700786), wholly outside, and the table says so."""
    result = run(
        compose("experiment=vqd", "hamiltonian=h2", *EXACT, "experiment.levels=2", "experiment.sector_penalty=0")
    )  # fmt: skip

    ion = result.table[1]
    assert ion["energy"] == pytest.approx(-0.5363700786, abs=1e-5)
    assert ion["outside"] == pytest.approx(1, abs=1e-4)
    assert ion["exact"] == pytest.approx(-0.52461556, abs=1e-8)
    assert "level 1 lies below the exact one, for its state is outside the sector" in result.stop_reason


def test_a_level_that_the_ansatz_misses_is_told(workdir: Path) -> None:
    """One UCCSD product cannot reach H2's triplet: the state between it and the singlet is found twice, and said."""
    result = run(compose("experiment=vqd", "hamiltonian=h2", "ansatz=uccsd", *EXACT))

    between = (FCI["h2", 1, 1][1] + FCI["h2", 1, 1][2]) / 2  # |↑1 ↓0⟩ is half triplet, half singlet
    assert [row["energy"] for row in result.table[1:]] == pytest.approx([between, between], abs=1e-5)
    assert "level 2 lies below the exact one, so a level before it was missed" in result.stop_reason


def test_the_energy_of_a_level_is_without_penalty(workdir: Path) -> None:
    """After two evaluations, far outside of the sector: ⟨H⟩ of the reported state by qiskit.quantum_info."""
    result = run(
        compose("experiment=vqd", "hamiltonian=h2", "experiment.levels=1", "experiment.starts=1",
                "estimator=exact", "optimizer=cobyla", "optimizer.max_evaluations=2", "ansatz.initial=random",
                "tracking=off", "run.figures=false")
    )  # fmt: skip

    hamiltonian = choice("hamiltonian", "h2").build()
    circuit = choice("ansatz", "efficient_su2").build(hamiltonian)
    state = Statevector(circuit.assign_parameters(result.parameters))
    assert result.outside_sector > 0.1
    assert result.energy == pytest.approx(state.expectation_value(SparsePauliOp(hamiltonian)).real)


def test_a_spectrum_over_all_sectors_is_a_switch(workdir: Path) -> None:
    """hamiltonian.sector=all: the levels of H2 and its ions together, −0.536370 (H2⁺) four times."""
    result = run(
        compose(
            "experiment=vqd", "hamiltonian=h2", "hamiltonian.sector=all", *EXACT, "experiment.levels=2",
        )
    )  # fmt: skip

    assert [row["energy"] for row in result.table] == pytest.approx([-1.13730604, -0.53637008], abs=1e-5)
    assert result.reference_note == "exact diagonalization, all sectors"
    assert result.outside_sector is None


def test_an_energy_below_the_sector_is_explained(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Hubbard without chemical potential: one electron has −1, two have 2 − 2√2; the circuit drifts to the one."""
    result = run(
        compose("hamiltonian=hubbard", "hamiltonian.chemical_potential=0", *EXACT), quiet=False
    )  # fmt: skip

    assert result.energy == pytest.approx(-1.0, abs=1e-6)
    assert result.reference_energy == pytest.approx(2 - 2 * 2**0.5)
    assert result.outside_sector == pytest.approx(1, abs=1e-4)
    told = capsys.readouterr().out
    assert "exact diagonalization, sector N↑=1, N↓=1" in told
    assert "100 % of the state has other numbers of electrons" in told
    assert "below the sector's lowest" in told
    (problem,) = events(result, "problem")
    assert problem.sector == {"up": 1, "down": 1}


def test_an_ansatz_that_keeps_electrons_is_not_talked_about(
    workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The HVA of the Hubbard model conserves both numbers: energy 2 − 2√2 at µ = 0, and no word of leaving."""
    result = run(
        compose("hamiltonian=hubbard", "hamiltonian.chemical_potential=0", "ansatz=hva", *EXACT), quiet=False
    )

    assert result.energy == pytest.approx(2 - 2 * 2**0.5, abs=1e-6)
    assert result.outside_sector == 0.0
    assert "numbers of electrons" not in capsys.readouterr().out


def test_spins_have_no_sector(workdir: Path) -> None:
    """The default observable: the lowest eigenvalue of all, and nothing said of electrons."""
    result = run(compose("tracking=off", "run.figures=false", "optimizer.max_evaluations=3"))

    assert result.reference_energy == pytest.approx(
        np.linalg.eigvalsh(choice("hamiltonian", "two_qubit").build().to_matrix())[0]
    )
    assert result.reference_note == "exact diagonalization"
    assert result.outside_sector is None


def test_the_race_and_the_curve_compare_within_the_sector(workdir: Path) -> None:
    """Both take the reference from the electrons: (U − √(U² + 16))/2 at t = 1 and µ = 0."""
    hubbard = (
        "hamiltonian=hubbard", "hamiltonian.chemical_potential=0", "ansatz=hva", "estimator=exact",
        "tracking=off", "run.figures=false", "optimizer.max_evaluations=3",
    )  # fmt: skip
    race = run(compose("experiment=vqe_race", *hubbard))
    curve = run(
        compose("experiment=dissociation_curve", "optimizer=cobyla", *hubbard,
                "experiment.parameter=interaction", "experiment.values=[3.0,4.0]")
    )  # fmt: skip

    assert race.reference_energy == pytest.approx(2 - 2 * 2**0.5)
    assert race.reference_note == curve.reference_note == "exact diagonalization, sector N↑=1, N↓=1"
    assert [row["exact"] for row in curve.table] == pytest.approx([-1.0, 2 - 2 * 2**0.5])
    assert curve.outside_sector == 0.0


@pytest.mark.parametrize("way", ["", "reset", "measure"])
def test_what_measures_or_resets_on_the_way_has_no_share(way):
    """No state vector stands for one trajectory of many; without it, rx(π/2) on an empty orbital puts half outside."""
    circuit = QuantumCircuit(4, 1)
    circuit.x([0, 2])
    circuit.rx(Parameter("a"), 1)
    if way == "reset":
        circuit.reset(1)
    if way == "measure":
        circuit.measure(1, 0)
        circuit.z(1)
    hamiltonian = choice("hamiltonian", "h2").build()
    problem = Problem(
        hamiltonian=hamiltonian, ansatz=circuit, circuit=circuit, observable=hamiltonian,
        initial_point=np.zeros(1), reference_energy=None,
    )  # fmt: skip

    assert problem.leaves_sector is (None if way else True)
    assert problem.outside([np.pi / 2]) == (None if way else pytest.approx(0.5))


def test_adapt_keeps_to_the_sector(workdir: Path) -> None:
    """Excitations conserve both numbers; the reference is that of (1, 1) in every mapping (PySCF, see FCI)."""
    result = run(
        compose("experiment=adapt_vqe", "hamiltonian=hydrogen", "hamiltonian.mapper=parity", "tracking=off",
                "run.figures=false")
    )  # fmt: skip

    assert result.reference_energy == pytest.approx(FCI["h2", 1, 1][0], abs=1e-8)
    assert result.reference_note == "exact diagonalization, sector N↑=1, N↓=1"
    assert result.outside_sector == 0.0


@pytest.mark.parametrize(
    ("share", "error", "words"),
    [
        (None, -1.0, ""),
        (0.0, -1.0, ""),
        (0.25, 0.1, "25 % of the state has other numbers of electrons: the ansatz does not keep them; "
         "ansatz=uccsd keeps them"),
        (1e-9, 0.1, "less than 0.0001 % of the state"),
        (0.25, -0.1, "so the energy lies below the sector's lowest"),
        (0.25, -0.02, "does not keep them; ansatz=uccsd"),
    ],
)  # fmt: skip
def test_what_is_said_of_the_share(share, error, words):
    """Nothing where all is inside; below the sector's lowest only beyond three standard errors of 0.01."""
    told = outside_in_words(share, error=error, stddev=0.01, note="exact diagonalization")
    assert words in told
    assert bool(told) == bool(words)


def test_a_large_system_below_its_sector_is_doubted():
    """Above 14 qubits no state is computed, but an energy below the sector's lowest has one explanation."""
    alike = outside_in_words(0.2, error=-0.5, stddev=0.0, note="declared", sampled=True)
    assert "so the energy lies below" not in alike  # shots that came out alike do not tell
    told = outside_in_words(None, error=-0.5, note="exact diagonalization, sector N↑=8, N↓=8")
    assert told.startswith("the ansatz may not keep the numbers of electrons; so the energy lies below")


@pytest.mark.parametrize("unit", [1e-20, 1e-7, 1.0, 1e9])
def test_what_is_below_the_sector_is_told_in_any_unit(unit):
    """By hand: an energy of a Hamiltonian of size 10 lies 0.1 below, then 1e-13, which rounding of 1e-14 explains."""
    of = {"note": "exact diagonalization", "reference": -3 * unit, "rounding": 1e-14 * unit}

    assert "so the energy lies below" in outside_in_words(0.25, error=-0.1 * unit, **of)
    assert "so the energy lies below" not in outside_in_words(0.25, error=-1e-13 * unit, **of)
    declared = of | {"note": "declared", "reference": -3.0004 * unit}  # of -3.00040049
    assert "so the energy lies below" not in outside_in_words(0.25, error=-4.9e-7 * unit, **declared)

"""Local unitary cluster Jastrow states from coupled-cluster amplitudes, by ffsim (Motta et al. 2023)."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from runner.ansatz.start import AnsatzConfig
from runner.declare.checks import require_choice, require_integer
from runner.errors import ConfigError
from runner.hamiltonian.physics import physics_of

if TYPE_CHECKING:
    import numpy as np
    from qiskit import QuantumCircuit
    from qiskit.providers import BackendV2
    from qiskit.quantum_info import SparsePauliOp
    from qiskit.transpiler import StagedPassManager

    from runner.hamiltonian.integrals import Integrals

PAIRS = ("heavy_hex", "square", "all")
AMPLITUDES = ("ccsd", "mp2")
EVERY = 4
"""On heavy-hex one orbital in so many has its two spins a qubit apart."""

Pairs = list[tuple[int, int]]


@dataclass(kw_only=True)
class LUCJ(AnsatzConfig):
    """|ψ⟩ = Πₖ exp(Kₖ) exp(iJₖ) exp(−Kₖ) |HF⟩ without free parameters: K and J come from T1 and T2 of the molecule."""

    reps: int = 1
    """Number of factors; each takes the next largest term of T2."""
    pairs: str = "heavy_hex"
    """Orbitals that J couples: heavy_hex (neighbours of one spin, both spins of every fourth orbital) | square
    (neighbours, both spins of every orbital) | all."""
    opposite: list[int] = field(default_factory=list)
    """Orbitals of which J couples both spins, in place of those of heavy_hex and square; empty: those."""
    amplitudes: str = "ccsd"
    """Where T1 and T2 are from: ccsd | mp2 (first order, where CCSD does not converge)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_integer("ansatz.reps", self.reps, 1, 100)
        require_choice("ansatz.pairs", self.pairs, PAIRS)
        require_choice("ansatz.amplitudes", self.amplitudes, AMPLITUDES)
        if self.opposite and self.pairs == "all":
            raise ConfigError(
                "says nothing where all orbitals are coupled; leave it out", key="ansatz.opposite"
            )
        for index, orbital in enumerate(self.opposite):
            require_integer(f"ansatz.opposite[{index}]", orbital, 0, 1000)
        if len({*self.opposite}) != len(self.opposite):
            raise ConfigError(f"names an orbital twice in {self.opposite}", key="ansatz.opposite")

    def build(self, hamiltonian: SparsePauliOp | None = None) -> QuantumCircuit:
        """The circuit, logical and without measurements.

        Raises:
            ConfigError: the Hamiltonian is not one of electrons in closed shells, written by Jordan and Wigner.
        """
        physics = None if hamiltonian is None else physics_of(hamiltonian)
        if physics is None or physics.integrals is None or physics.mapper != "jordan_wigner":
            raise ConfigError(
                "lucj needs a molecule with mapper=jordan_wigner, e.g. hamiltonian=molecule; choose one",
                key="ansatz",
            )
        return self.of_electrons(physics.integrals)

    def of_electrons(self, integrals: Integrals) -> QuantumCircuit:
        """The circuit of these electrons, in gates that keep their number.

        Raises:
            ConfigError: ffsim is not installed, shells are open, or CCSD gives no numbers.
        """
        subspaces()
        import ffsim
        from qiskit import QuantumCircuit

        up, down = integrals.electrons
        if up != down or not 0 < up < integrals.orbitals:
            raise ConfigError(
                f"lucj needs closed shells and empty orbitals, got N↑={up}, N↓={down} in {integrals.orbitals}; "
                "choose ansatz=uccsd and, in place of electrons, backend=ideal or noisy",
                key="ansatz",
            )
        t1, t2 = cluster_amplitudes(integrals, self.amplitudes)
        operator = ffsim.UCJOpSpinBalanced.from_t_amplitudes(
            t2, t1=t1, n_reps=self.reps, interaction_pairs=self._coupled(integrals.orbitals)
        )
        circuit = QuantumCircuit(2 * integrals.orbitals)
        circuit.append(ffsim.qiskit.PrepareHartreeFockJW(integrals.orbitals, (up, down)), circuit.qubits)
        circuit.append(ffsim.qiskit.UCJOpSpinBalancedJW(operator), circuit.qubits)
        circuit = ffsim.qiskit.PRE_INIT.run(circuit)  # rotations next to each other become one
        while opaque := [name for name in circuit.count_ops() if name.endswith("_jw")]:
            circuit = circuit.decompose(opaque)
        return circuit

    def _coupled(self, orbitals: int) -> tuple[Pairs, Pairs] | None:
        """Pairs of orbitals of the same spin and of opposite spins; None: all."""
        if self.pairs == "all":
            return None
        for index, orbital in enumerate(self.opposite):
            require_integer(f"ansatz.opposite[{index}]", orbital, 0, orbitals - 1)
        usual = range(0, orbitals, EVERY if self.pairs == "heavy_hex" else 1)
        same = [(orbital, orbital + 1) for orbital in range(orbitals - 1)]
        return same, [(orbital, orbital) for orbital in self.opposite or usual]

    def passes(
        self, circuit: QuantumCircuit, backend: BackendV2, optimization_level: int, seed: int
    ) -> StagedPassManager | None:
        """Passes that lay the two spins out as two lines of qubits, joined where J couples them; None: no such device.

        Raises:
            ConfigError: the device has no place for it; it says what it has one for.
        """
        coupling = backend.coupling_map
        if self.pairs == "all" or coupling is None or coupling.size() < circuit.num_qubits:
            return None
        import warnings

        import ffsim

        orbitals = circuit.num_qubits // 2
        same, opposite = self._coupled(orbitals) or ([], [])
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # it warns of every pair that it leaves out; none is left out here
            try:
                passes, found = ffsim.qiskit.generate_lucj_pass_manager(
                    backend,
                    orbitals,
                    "square" if self.pairs == "square" else "heavy-hex",
                    (same, list(opposite)),
                    optimization_level=optimization_level,
                    seed_transpiler=seed,
                )
            except RuntimeError as error:
                raise ConfigError(
                    f"{backend.name} has no two lines of {orbitals} qubits that touch; use ansatz.pairs=all",
                    key="ansatz.pairs",
                ) from error
        if len(found) != len(opposite):
            places = ",".join(str(orbital) for orbital, _ in found)
            raise ConfigError(
                f"{backend.name} joins its lines of qubits at fewer orbitals; type ansatz.opposite=[{places}]",
                key="ansatz.opposite",
            )
        return passes


def subspaces() -> None:
    """Find the packages that sampled subspaces need.

    Raises:
        ConfigError: the extra is not installed.
    """
    if any(find_spec(name) is None for name in ("ffsim", "qiskit_addon_sqd", "pyscf")):
        raise ConfigError(
            "needs ffsim, qiskit-addon-sqd and pyscf; pip install 'session-runner[sqd]'", key="experiment"
        )


def cluster_amplitudes(integrals: Integrals, kind: str = "ccsd") -> tuple[np.ndarray, np.ndarray]:
    """T1, shape (occupied, empty), and T2, shape (occupied, occupied, empty, empty), by PySCF.

    Args:
        integrals: of closed shells, over Hartree–Fock orbitals in the order of their energies.
        kind: ccsd | mp2.

    Raises:
        ConfigError: they are not finite.
    """
    import numpy as np
    from pyscf import cc, lib

    with lib.with_omp_threads(1):  # the same sums in the same order, whatever the machine
        solver: Any = cc.CCSD(_mean_field(integrals))
        solver.max_cycle = 200
        _, t1, t2 = solver.init_amps()
        if kind == "ccsd":
            _, t1, t2 = solver.kernel()
    if not (np.isfinite(t1).all() and np.isfinite(t2).all()):
        raise ConfigError("CCSD finds no amplitudes here; use mp2", key="ansatz.amplitudes")
    return t1, t2


def _mean_field(integrals: Integrals) -> Any:
    """PySCF's Hartree–Fock object of a determinant of the lowest orbitals."""
    import numpy as np
    from pyscf import ao2mo, gto, scf

    size, (up, down) = integrals.orbitals, integrals.electrons
    molecule = gto.M(verbose=0)
    molecule.nelectron, molecule.spin = up + down, up - down
    molecule.incore_anyway = True  # there are no atoms whose integrals could be computed anew
    field_ = scf.RHF(molecule)
    field_.get_hcore = lambda *_: integrals.one_body
    field_.get_ovlp = lambda *_: np.eye(size)
    field_.energy_nuc = lambda *_: integrals.constant
    field_._eri = ao2mo.restore(8, integrals.two_body, size)
    field_.mo_coeff = np.eye(size)
    field_.mo_occ = np.array([2.0] * up + [0.0] * (size - up))
    field_.mo_energy = np.diag(field_.get_fock(dm=np.diag(field_.mo_occ)))
    field_.e_tot = field_.energy_tot(dm=np.diag(field_.mo_occ))
    field_.converged = True
    return field_

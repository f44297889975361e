"""Spins and electrons on chains and lattices, with open or periodic ends and seeded disorder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from runner.declare.alternatives import OtherThan, acts_with
from runner.declare.checks import require_choice, require_integer
from runner.errors import ConfigError
from runner.hamiltonian.connectivity import Bond, bonds_of, check_lattice, sites_of, two_colours
from runner.hamiltonian.declared import HamiltonianConfig
from runner.hamiltonian.physics import Physics
from runner.hamiltonian.scale import collected, require_coefficient
from runner.hamiltonian.sector import SECTORS

if TYPE_CHECKING:
    from qiskit import QuantumCircuit
    from qiskit.quantum_info import SparsePauliOp

    from runner.hamiltonian.operator import Hamiltonian

Term = tuple[str, list[int], float]


@dataclass(kw_only=True)
class Lattice(HamiltonianConfig):
    """Sites joined to their nearest neighbours."""

    lattice: str = "square"
    """square | triangular | honeycomb | kagome | heavy_hex."""
    shape: list[int] = field(default_factory=lambda: [8])
    """[8] is a chain, [3, 4] three rows of four: sites of square, unit cells of triangular (1 site) and kagome (3),
    hexagons of honeycomb and heavy_hex."""
    periodic: bool = False
    """Join the ends of every row and column."""
    reference_energy: float | None = None
    """Energy to compare results with; null: the lowest eigenvalue, computed up to 14 qubits."""

    def __post_init__(self) -> None:
        check_lattice(self.lattice, self.shape, self.periodic)

    @property
    def sites(self) -> int:
        """Number of sites."""
        return sites_of(self.lattice, self.shape, self.periodic)

    def bonds(self) -> list[list[Bond]]:
        """Pairs of neighbours in groups that share no site."""
        return bonds_of(self.lattice, self.shape, self.periodic)

    def sublattices(self) -> list[int]:
        """0 or 1 for every site."""
        return two_colours(self.lattice, self.shape, self.periodic)


@acts_with(disorder_seed={"coupling_disorder": OtherThan(0), "field_disorder": OtherThan(0)})
@dataclass(kw_only=True)
class SpinLattice(Lattice):
    """Spins ½ written with Pauli matrices (not S = σ/2)."""

    coupling: float = 1.0
    """J, in the unit of energy."""
    field: float = 0.0
    """h, in the unit of energy."""
    coupling_disorder: float = 0.0
    """Every bond's J is drawn uniformly from J ± this."""
    field_disorder: float = 0.0
    """Every site's h is drawn uniformly from h ± this."""
    disorder_seed: int = 1
    """Seed of the disorder, independent of the run's."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("coupling", "field", "coupling_disorder", "field_disorder"):
            require_coefficient(f"hamiltonian.{name}", getattr(self, name))
        for name in ("coupling_disorder", "field_disorder"):
            if getattr(self, name) < 0:
                raise ConfigError(
                    f"must be at least 0, got {getattr(self, name)}; raise it", key=f"hamiltonian.{name}"
                )
        require_integer("hamiltonian.disorder_seed", self.disorder_seed, 0, 2**63 - 1)

    @property
    def energy_unit(self) -> str | None:
        """J, where J is 1."""
        return "J" if self.coupling == 1 else None

    def couplings(self) -> list[dict[Bond, float]]:
        """J of every bond, grouped like `bonds`."""
        import numpy as np

        rng = np.random.default_rng([self.disorder_seed, 0])
        spread = self.coupling_disorder
        return [
            {bond: self.coupling + rng.uniform(-spread, spread) for bond in group} for group in self.bonds()
        ]

    def fields(self) -> list[float]:
        """Field of every site."""
        import numpy as np

        rng = np.random.default_rng([self.disorder_seed, 1])
        spread = self.field_disorder
        return [self.field + rng.uniform(-spread, spread) for _ in range(self.sites)]


@dataclass(kw_only=True)
class Heisenberg(SpinLattice):
    """H = Σ J (XX + YY + ZZ) + Σ h Z; J > 0 is the antiferromagnet."""

    @property
    def weights(self) -> dict[str, float]:
        """Weight of each two-site product relative to J."""
        return {"ZZ": 1.0, "YY": 1.0, "XX": 1.0}

    def build(self) -> Hamiltonian:
        """The operator; the HVA starts from singlets on every second bond (Wiersema et al. 2020)."""
        layers: list[list[Term]] = []
        for group in self.couplings():
            for label, weight in self.weights.items():
                layers.append([(label, list(bond), coupling * weight) for bond, coupling in group.items()])
        # the start is the ground state of the first group of bonds, so its layers come last
        first = len(self.weights)
        layers = [
            *layers[first:],
            *layers[:first],
            [("Z", [site], h) for site, h in enumerate(self.fields())],
        ]
        neel = tuple(self.sublattices())
        prepared = [index >= len(layers) - first - 1 for index in range(len(layers))]
        return assemble(layers, prepared, self.sites, reference_state=neel, preparation=self._singlets())

    def _singlets(self) -> QuantumCircuit:
        """(|01⟩ − |10⟩)/√2 on the first group of bonds."""
        from qiskit import QuantumCircuit

        circuit = QuantumCircuit(self.sites)
        for a, b in self.bonds()[0]:
            circuit.x([a, b])
            circuit.h(a)
            circuit.cx(a, b)
        return circuit


@dataclass(kw_only=True)
class XXZ(Heisenberg):
    """H = Σ J (XX + YY + Δ ZZ) + Σ h Z."""

    anisotropy: float = 1.0
    """Δ; 1 is the Heisenberg model, 0 the XY model."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_coefficient("hamiltonian.anisotropy", self.anisotropy)

    @property
    def weights(self) -> dict[str, float]:
        """Weight of each two-site product relative to J."""
        return {"ZZ": self.anisotropy, "YY": 1.0, "XX": 1.0}


@dataclass(kw_only=True)
class TransverseIsing(SpinLattice):
    """H = −Σ J ZZ − Σ h X − g Σ Z; the chain is critical at h = J."""

    longitudinal: float = 0.0
    """g, in the unit of energy; lifts the degeneracy of the ordered phase."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_coefficient("hamiltonian.longitudinal", self.longitudinal)

    def build(self) -> Hamiltonian:
        """The operator; the HVA starts from the ground state of the transverse field."""
        from qiskit import QuantumCircuit

        fields = self.fields()
        ising: list[Term] = [
            ("ZZ", list(bond), -coupling) for group in self.couplings() for bond, coupling in group.items()
        ]
        ising += [("Z", [site], -self.longitudinal) for site in range(self.sites)]
        transverse: list[Term] = [("X", [site], -h) for site, h in enumerate(fields)]
        start = QuantumCircuit(self.sites)
        for site, h in enumerate(fields):
            if h < 0:
                start.x(site)
            start.h(site)
        return assemble(
            [ising, transverse],
            [False, True],
            self.sites,
            reference_state=(0,) * self.sites,
            preparation=start,
        )


@dataclass(kw_only=True)
class Hubbard(Lattice):
    """H = −t Σ (c†ᵢσ cⱼσ + h.c.) + U Σ n↑n↓ − µ Σ n; Jordan–Wigner, 2 qubits per site, spin up first."""

    reference_energy: float | None = None
    """Energy to compare results with; null: the lowest with these electrons, computed up to 16 384 states."""
    hopping: float = 1.0
    """t, in the unit of energy."""
    interaction: float = 4.0
    """U, in the unit of energy."""
    chemical_potential: float | None = None
    """µ, in the unit of energy; null: U/2, at which half filling is lowest."""
    electrons: list[int] = field(default_factory=list)
    """Electrons with spin up and with spin down, e.g. [1, 0]; empty: one per site, half filling."""
    sector: str = "electrons"
    """What references and levels are of: electrons (states with these numbers of electrons) | all."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("hopping", "interaction"):
            require_coefficient(f"hamiltonian.{name}", getattr(self, name))
        if self.chemical_potential is not None:
            require_coefficient("hamiltonian.chemical_potential", self.chemical_potential)
        require_choice("hamiltonian.sector", self.sector, SECTORS)
        if len(self.electrons) not in (0, 2):
            raise ConfigError(
                f"must be [up, down] or empty, got {len(self.electrons)} numbers; give two",
                key="hamiltonian.electrons",
            )
        for index, count in enumerate(self.electrons):
            require_integer(f"hamiltonian.electrons[{index}]", count, 0, self.sites)

    @property
    def energy_unit(self) -> str | None:
        """t, where t is 1."""
        return "t" if self.hopping == 1 else None

    def build(self) -> Hamiltonian:
        """The operator; at half filling the HVA starts from one electron per site, neighbours paired to singlets."""
        qubits = 2 * self.sites
        mu = self.interaction / 2 if self.chemical_potential is None else self.chemical_potential
        layers: list[list[Term]] = []
        for group in self.bonds():
            layers.append([term for spin in (0, 1) for bond in group for term in self._hop(bond, spin)])
        onsite: list[Term] = []
        for site in range(self.sites):
            up, down = site, site + self.sites
            onsite += [("ZZ", [up, down], self.interaction / 4)]
            onsite += [("Z", [place], mu / 2 - self.interaction / 4) for place in (up, down)]
        layers.append([*onsite, ("I", [0], self.sites * (self.interaction / 4 - mu))])
        prepared = [False] * (len(layers) - 1) + [True]
        half_filling = self._half_filling()
        up, down = self.electrons or half_filling
        state = self._spread(up, down)
        return assemble(
            layers,
            prepared,
            qubits,
            reference_state=state,
            preparation=self._singlets(up) if (up, down) == half_filling else product_state(state),
            electrons=(up, down),
            every_sector=self.sector == "all",
        )

    def _half_filling(self) -> tuple[int, int]:
        return (self.sites + 1) // 2, self.sites // 2

    def _spread(self, up: int, down: int) -> tuple[int, ...]:
        """Spin up fills one sublattice first, spin down the other: few sites have both. One bit per qubit."""
        order = self._by_sublattice()
        filled = {*order[:up], *(site + self.sites for site in order[::-1][:down])}
        return tuple(int(place in filled) for place in range(2 * self.sites))

    def _by_sublattice(self) -> list[int]:
        return sorted(range(self.sites), key=self.sublattices().__getitem__)

    def _singlets(self, up: int) -> QuantumCircuit:
        """(c†ₐ↑c†_b↓ + c†_b↑c†ₐ↓)/√2 on the first group of bonds, one electron on each site left over; `up` in all."""
        from qiskit import QuantumCircuit

        circuit = QuantumCircuit(2 * self.sites)
        for a, b in self.bonds()[0]:
            circuit.h(a)
            for qubit, opposite in ((b, True), (a + self.sites, True), (b + self.sites, False)):
                circuit.cx(a, qubit)
                if opposite:
                    circuit.x(qubit)
        paired = {site for bond in self.bonds()[0] for site in bond}
        for number, site in enumerate(site for site in self._by_sublattice() if site not in paired):
            circuit.x(site if number < up - len(paired) // 2 else site + self.sites)
        return circuit

    def _hop(self, bond: Bond, spin: int) -> Iterator[Term]:
        """−t (c†ₐ c_b + h.c.) = −t/2 (X Z…Z X + Y Z…Z Y)."""
        low, high = sorted(place + spin * self.sites for place in bond)
        between = list(range(low + 1, high))
        for letter in "XY":
            yield letter + "Z" * len(between) + letter, [low, *between, high], -self.hopping / 2


def product_state(bits: tuple[int, ...]) -> QuantumCircuit:
    """Prepares the basis state with these bits, qubit 0 first."""
    from qiskit import QuantumCircuit

    circuit = QuantumCircuit(len(bits))
    for qubit, bit in enumerate(bits):
        if bit:
            circuit.x(qubit)
    return circuit


def assemble(
    layers: list[list[Term]],
    prepared: list[bool],
    qubits: int,
    *,
    reference_state: tuple[int, ...],
    preparation: QuantumCircuit,
    electrons: tuple[int, int] | None = None,
    every_sector: bool = False,
) -> Hamiltonian:
    """The sum of all layers; those that are not zero become the parts the HVA alternates between."""
    from qiskit.quantum_info import SparsePauliOp

    from runner.hamiltonian.operator import Hamiltonian

    parts: list[SparsePauliOp] = []
    held: list[bool] = []
    for layer, is_prepared in zip(layers, prepared, strict=True):
        if terms := [term for term in layer if term[2]]:
            parts.append(collected(SparsePauliOp.from_sparse_list(terms, qubits)))
            held.append(is_prepared)
    if not parts:
        raise ConfigError("is zero; give a coupling or a field", key="hamiltonian")
    physics = Physics(
        reference_state=reference_state,
        preparation=preparation,
        parts=tuple(parts),
        prepared=tuple(held),
        electrons=electrons,
        every_sector=every_sector,
        mapper="jordan_wigner" if electrons else None,
    )
    total = collected(SparsePauliOp.sum(parts))
    return Hamiltonian(total.paulis, total.coeffs.real, physics=physics)

"""One interacting site in a bath: the single-impurity Anderson model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.declare.checks import require_choice, require_integer
from runner.hamiltonian.declared import HamiltonianConfig
from runner.hamiltonian.lattice import Term, assemble, product_state
from runner.hamiltonian.scale import require_coefficient
from runner.hamiltonian.sector import SECTORS

if TYPE_CHECKING:
    from runner.hamiltonian.operator import Hamiltonian


@dataclass(kw_only=True)
class AndersonImpurity(HamiltonianConfig):
    """H = U (n↑ − ½)(n↓ − ½) + V Σ (d†c₁ + h.c.) − t Σ (c†ᵢcᵢ₊₁ + h.c.) + ε Σ n_bath; half filling, site 0 is d.

    Jordan–Wigner, spin-up orbitals first.
    """

    bath: int = 3
    """Sites of the bath, a chain that begins next to the impurity."""
    interaction: float = 4.0
    """U, in the unit of energy."""
    hybridization: float = 0.5
    """V, in the unit of energy."""
    hopping: float = 1.0
    """t between sites of the bath, in the unit of energy."""
    bath_energy: float = 0.0
    """ε of the sites of the bath, in the unit of energy."""
    sector: str = "electrons"
    """What references and levels are of: electrons (half filling, one more spin up where sites are odd) | all."""

    def __post_init__(self) -> None:
        require_integer("hamiltonian.bath", self.bath, 1, 100)
        for name in ("interaction", "hybridization", "hopping", "bath_energy"):
            require_coefficient(f"hamiltonian.{name}", getattr(self, name))
        require_choice("hamiltonian.sector", self.sector, SECTORS)

    @property
    def energy_unit(self) -> str | None:
        """t, where t is 1."""
        return "t" if self.hopping == 1 else None

    def build(self) -> Hamiltonian:
        """The operator; its reference state has spin up and down on every other site in turn."""
        sites = 1 + self.bath
        up, down = (sites + 1) // 2, sites // 2
        bonds = [(site, site + 1) for site in range(self.bath)]
        onsite: list[Term] = [("ZZ", [0, sites], self.interaction / 4)]
        for site in range(1, sites):
            for place in (site, site + sites):
                onsite += [("I", [0], self.bath_energy / 2), ("Z", [place], -self.bath_energy / 2)]
        state = tuple(int(place % 2 == 0) for place in range(sites)) + tuple(
            int(place % 2) for place in range(sites)
        )
        return assemble(
            [
                [term for bond in bonds[0::2] for term in self._hop(bond, sites)],
                [term for bond in bonds[1::2] for term in self._hop(bond, sites)],
                onsite,
            ],
            [False, False, self.interaction > 0 and self.bath_energy == 0],
            2 * sites,
            reference_state=state,
            preparation=product_state(state),
            electrons=(up, down),
            every_sector=self.sector == "all",
        )

    def _hop(self, bond: tuple[int, int], sites: int) -> Iterator[Term]:
        """Terms w (c†ₐ c_b + h.c.) = w/2 (XX + YY) of both spins; neighbours in the chain are neighbours on qubits."""
        weight = self.hybridization if bond[0] == 0 else -self.hopping
        for spin in (0, sites):
            for letters in ("XX", "YY"):
                yield letters, [place + spin for place in bond], weight / 2

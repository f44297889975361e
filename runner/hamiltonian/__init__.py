"""Observables whose lowest energy is sought: Pauli lists, molecules, lattices and graphs.

Every declaration's `build()` gives a `Hamiltonian`: a SparsePauliOp that also knows where it comes from
(`runner.hamiltonian.operator`).
"""

from collections.abc import Mapping

from runner.hamiltonian.declared import HamiltonianConfig
from runner.hamiltonian.file import OperatorFile
from runner.hamiltonian.graph import MaxCut, Qubo, SherringtonKirkpatrick
from runner.hamiltonian.impurity import AndersonImpurity
from runner.hamiltonian.lattice import XXZ, Heisenberg, Hubbard, TransverseIsing
from runner.hamiltonian.molecule import HydrogenChain, MoleculeGeometry
from runner.hamiltonian.pauli import MoleculeTerms, PauliTerms
from runner.record.events import RunStarted

SCHEMAS: dict[str, type[HamiltonianConfig]] = {
    "pauli": PauliTerms,
    "pauli_file": OperatorFile,
    "molecule_terms": MoleculeTerms,
    "molecule": MoleculeGeometry,
    "hydrogen": HydrogenChain,
    "heisenberg": Heisenberg,
    "xxz": XXZ,
    "tfim": TransverseIsing,
    "hubbard": Hubbard,
    "siam": AndersonImpurity,
    "maxcut": MaxCut,
    "qubo": Qubo,
    "sk": SherringtonKirkpatrick,
}
"""Schema name → declaration."""


def unit_of(started: RunStarted | None) -> str | None:
    """What a recorded run's energies are in, by its first fact; None where nobody knows.

    Earlier releases did not write it: their molecules were in Hartree, and a lattice's J was not told.
    """
    return None if started is None else unit_by(started.energy_unit, started.schemas)


def unit_by(written: str | None, schemas: Mapping[str, str]) -> str | None:
    """What energies are in; None where nobody knows.

    Args:
        written: what was said.
        schemas: group → name of the schema that its choice was checked by.
    """
    if written is not None:
        return written
    schema = SCHEMAS.get(schemas.get("hamiltonian", ""))
    unit = None if schema is None else schema.energy_unit
    return unit if isinstance(unit, str) else None

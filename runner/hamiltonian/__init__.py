"""Observables whose lowest energy is sought: Pauli lists, molecules, lattices and graphs.

Every declaration's `build()` gives a `Hamiltonian`: a SparsePauliOp that also knows where it comes from
(`runner.hamiltonian.operator`).
"""

from runner.hamiltonian.file import OperatorFile
from runner.hamiltonian.graph import MaxCut, Qubo, SherringtonKirkpatrick
from runner.hamiltonian.lattice import XXZ, Heisenberg, Hubbard, TransverseIsing
from runner.hamiltonian.molecule import HydrogenChain, MoleculeGeometry
from runner.hamiltonian.pauli import MoleculeTerms, PauliTerms

SCHEMAS = {
    "pauli": PauliTerms,
    "pauli_file": OperatorFile,
    "molecule_terms": MoleculeTerms,
    "molecule": MoleculeGeometry,
    "hydrogen": HydrogenChain,
    "heisenberg": Heisenberg,
    "xxz": XXZ,
    "tfim": TransverseIsing,
    "hubbard": Hubbard,
    "maxcut": MaxCut,
    "qubo": Qubo,
    "sk": SherringtonKirkpatrick,
}
"""Schema name → declaration."""

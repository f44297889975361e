"""Observables whose lowest energy is sought: Pauli lists, molecules, lattices and graphs.

Every declaration's `build()` gives a `Hamiltonian`: a SparsePauliOp that also knows where it comes from.
"""

from runner.hamiltonian.pauli import Molecule, PauliTerms

SCHEMAS = {
    "pauli": PauliTerms,
    "molecule_terms": Molecule,
}

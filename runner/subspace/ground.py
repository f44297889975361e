"""The lowest eigenvector of a Hamiltonian that is known by what it does to vectors, whatever its symmetry."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

DENSE = 900
"""Dimension up to which every eigenvalue is computed, and configurations that a search in larger ones is begun from."""
ROOTS = 4
"""Lowest states that are sought at a time above it."""
SPACE = 36
"""Vectors that a search spans before it starts again from the best."""
CYCLES = 100
"""Rounds after which a search is given up."""
SMALL = 1e-2
"""Largest energy of configurations below which the unit is another."""
NEAR = 1e-3
"""Least difference of energies that a correction is divided by."""
TOLERANCE = 1e-11
"""Change of the energies at which states are found, and square of the length of H|ψ⟩ − E|ψ⟩."""


@dataclass(frozen=True, eq=False)
class Ground:
    """A lowest state."""

    energy: float
    """Its eigenvalue."""
    state: np.ndarray
    """Its amplitudes, shape (N,)."""
    converged: bool
    """Whether it is an eigenvector, and those sought next to it are, too."""


def ground(
    apply: Callable[[np.ndarray], np.ndarray],
    block: Callable[[np.ndarray], np.ndarray],
    diagonal: np.ndarray,
) -> Ground:
    """The lowest eigenvector of a real symmetric matrix; above dimension 900 the lowest of several sought at once.

    A search from one configuration stays among states of its spin and point group, where the lowest state need not be.
    So several begin, from the lowest eigenvectors among the configurations of the lowest energies (Davidson with the
    inverse of that block, Olsen, Jørgensen & Simons 1990).

    Args:
        apply: takes a vector of shape (N,) to its product with the matrix.
        block: takes places of shape (P,) to the matrix among them, shape (P, P).
        diagonal: of the matrix, shape (N,).
    """
    import numpy as np
    from pyscf import lib

    size = len(diagonal)
    places = np.sort(np.argsort(diagonal, kind="stable")[:DENSE])
    energies, vectors = np.linalg.eigh(block(places))
    largest = float(np.abs(energies).max())
    if size > DENSE and 0 < largest < SMALL:  # all thresholds are in units of energies about 1
        unit = 2.0 ** math.floor(math.log2(largest))
        found = ground(lambda state: apply(state) / unit, lambda at: block(at) / unit, diagonal / unit)
        return replace(found, energy=found.energy * unit)
    if size <= DENSE:
        return Ground(float(energies[0]), vectors[:, 0], converged=True)
    starts = np.zeros((ROOTS, size))
    starts[:, places] = vectors[:, :ROOTS].T

    def inverted(residual: np.ndarray, energy: float, _: np.ndarray) -> np.ndarray:
        correction: np.ndarray = residual / _away(diagonal - energy)
        correction[places] = vectors @ ((vectors.T @ residual[places]) / _away(energies - energy))
        return correction

    found, lowest, states = lib.davidson1(
        lambda several: [apply(vector) for vector in several],
        list(starts),
        inverted,
        tol=TOLERANCE, nroots=ROOTS, verbose=0, max_cycle=CYCLES,
        max_space=SPACE - 4 * (ROOTS - 1),  # PySCF adds four for every further root
        max_memory=1e9,  # what memory there is was asked for before
    )  # fmt: skip
    return Ground(float(lowest[0]), states[0], converged=bool(np.all(found)))


def _away(differences: np.ndarray) -> np.ndarray:
    """The same, none of them so small that its inverse would be everything."""
    import numpy as np

    found: np.ndarray = np.where(np.abs(differences) < NEAR, NEAR, differences)
    return found

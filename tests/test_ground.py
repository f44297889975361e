"""The lowest eigenvector by what a matrix does to vectors, against all eigenvalues by LAPACK."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest
from scipy.linalg import block_diag, eigh

from runner.subspace.ground import DENSE, ground

pytestmark = pytest.mark.skipif(find_spec("pyscf") is None, reason="needs the extra [sqd]")


def two_symmetries(size: int) -> np.ndarray:
    """Two blocks that nothing joins; the lowest diagonal entry is in the first, the lowest eigenvalue in the second."""
    rng = np.random.default_rng(3)
    blocks = []
    for first, coupling in ((-2.0, 0.01), (-1.0, 1.5)):
        matrix = np.diag(np.linspace(first, 10, size // 2))
        noise = rng.normal(size=matrix.shape) * 0.01
        matrix += noise + noise.T
        matrix[0, 1:4] += coupling
        matrix[1:4, 0] += coupling
        blocks.append(matrix)
    return np.asarray(block_diag(*blocks))


@pytest.mark.parametrize(("size", "unit"), [(60, 1.0), (DENSE + 300, 1.0), (DENSE + 300, 1e-8)])
def test_the_lowest_of_another_symmetry_is_found(size: int, unit: float) -> None:
    """Small from the whole matrix, large by search, in any unit: the second block's, and an eigenvector."""
    matrix = two_symmetries(size) * unit
    energies, vectors = eigh(matrix, subset_by_index=[0, 0])
    assert np.abs(vectors[: size // 2]).max() < 1e-9, "the lowest state is in the second block"
    assert matrix.diagonal().argmin() < size // 2

    found = ground(lambda vector: matrix @ vector, lambda at: matrix[np.ix_(at, at)], matrix.diagonal())

    assert found.converged
    assert found.energy == pytest.approx(energies[0], rel=0, abs=1e-9 * unit)
    assert abs(found.state @ vectors[:, 0]) == pytest.approx(1, abs=1e-8)

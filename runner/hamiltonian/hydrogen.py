"""Integrals of hydrogen chains in sto-3g, in closed form, and restricted Hartree–Fock (Szabo & Ostlund, chapter 3)."""

from __future__ import annotations

import itertools

import numpy as np
from scipy.linalg import eigh
from scipy.special import erf

BOHR = 0.529177210903
"""One Bohr in Å."""
EXPONENTS = np.array([3.42525091, 0.62391373, 0.16885540])
"""Exponents of the sto-3g 1s function of hydrogen, in 1/Bohr²."""
CONTRACTION = np.array([0.15432897, 0.53532814, 0.44463454]) * (2 * EXPONENTS / np.pi) ** 0.75
"""Weights of its Gaussians, each normalized."""


def molecular_integrals(atoms: int, bond_length: float) -> tuple[np.ndarray, np.ndarray, float]:
    """One- and two-electron integrals over Hartree–Fock orbitals, and the nuclear repulsion, in Hartree.

    Args:
        atoms: number of hydrogen atoms, even.
        bond_length: distance of neighbours in Å.

    Returns:
        h_pq, (pq|rs) in chemists' order, repulsion.
    """
    places = np.arange(atoms) * bond_length / BOHR
    overlap, core, repulsion = atomic_integrals(places)
    orbitals = restricted_hartree_fock(overlap, core, repulsion, atoms // 2)
    one_body = orbitals.T @ core @ orbitals
    two_body = np.einsum("abcd,ap,bq,cr,ds->pqrs", repulsion, *[orbitals] * 4, optimize=True)
    nuclear = sum(1 / abs(a - b) for a, b in itertools.combinations(places, 2))
    return one_body, two_body, float(nuclear)


def atomic_integrals(places: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Overlap, kinetic plus nuclear attraction, and electron repulsion over 1s functions at `places` (Bohr)."""
    count = len(places)
    # every pair of Gaussians is one Gaussian: exponent p, centre, and a factor that falls with their distance
    a, b = EXPONENTS[:, None], EXPONENTS[None, :]
    p = a + b
    weight = CONTRACTION[:, None] * CONTRACTION[None, :]
    overlap, core = np.empty((count, count)), np.empty((count, count))
    factor, centre = {}, {}
    for i, j in itertools.product(range(count), repeat=2):
        distance = (places[i] - places[j]) ** 2
        factor[i, j] = weight * np.exp(-a * b / p * distance)
        centre[i, j] = (a * places[i] + b * places[j]) / p
        volume = factor[i, j] * (np.pi / p) ** 1.5
        overlap[i, j] = volume.sum()
        kinetic = (a * b / p * (3 - 2 * a * b / p * distance) * volume).sum()
        attraction = sum(
            (2 * np.pi / p * factor[i, j] * boys(p * (centre[i, j] - place) ** 2)).sum() for place in places
        )
        core[i, j] = kinetic - attraction
    repulsion = np.empty((count,) * 4)
    q = p[None, None]
    p = p[:, :, None, None]
    for i, j, k, m in itertools.product(range(count), repeat=4):
        separation = (centre[i, j][:, :, None, None] - centre[k, m][None, None]) ** 2
        shape = 2 * np.pi**2.5 / (p * q * np.sqrt(p + q)) * boys(p * q / (p + q) * separation)
        repulsion[i, j, k, m] = (factor[i, j][:, :, None, None] * factor[k, m][None, None] * shape).sum()
    return overlap, core, repulsion


def boys(t: np.ndarray) -> np.ndarray:
    """F₀(t) = ½ √(π/t) erf(√t), and its limit 1 − t/3 at zero."""
    root = np.sqrt(np.maximum(t, 1e-12))
    return np.where(t < 1e-8, 1 - t / 3, np.sqrt(np.pi) / (2 * root) * erf(root))


def restricted_hartree_fock(
    overlap: np.ndarray, core: np.ndarray, repulsion: np.ndarray, pairs: int
) -> np.ndarray:
    """Orbitals (columns) that make the energy of `pairs` doubly occupied ones stationary.

    Damped iteration; the orbitals span the same space whether or not the last digits have settled, so that the FCI
    energy does not depend on them.
    """
    energies, orbitals = eigh(core, overlap)
    density = 2 * orbitals[:, :pairs] @ orbitals[:, :pairs].T
    for _ in range(500):
        coulomb = np.einsum("abcd,cd->ab", repulsion, density)
        exchange = np.einsum("acbd,cd->ab", repulsion, density)
        energies, orbitals = eigh(core + coulomb - exchange / 2, overlap)
        fresh = 2 * orbitals[:, :pairs] @ orbitals[:, :pairs].T
        if np.abs(fresh - density).max() < 1e-11:
            break
        density = (fresh + density) / 2
    del energies
    return orbitals * np.sign(orbitals[np.abs(orbitals).argmax(0), np.arange(len(orbitals))])

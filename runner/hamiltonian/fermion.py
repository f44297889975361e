"""Fermions as qubits, spin-up orbitals before spin-down ones."""

from __future__ import annotations

from collections.abc import Sequence


def hartree_fock_state(qubits: int, electrons: tuple[int, int], mapper: str) -> tuple[int, ...]:
    """Bits of the Hartree–Fock determinant: the lowest orbitals of each spin filled, then mapped to qubits.

    Parity with two qubits fewer than spin orbitals is the two-qubit reduction; the caller gives the number of
    qubits that is left.
    """
    up, down = electrons
    half = qubits // 2
    occupied = [int(orbital < up) for orbital in range(half)] + [
        int(orbital < down) for orbital in range(half)
    ]
    if mapper == "jordan_wigner":
        return tuple(occupied)
    if mapper == "parity":
        return tuple(sum(occupied[: index + 1]) % 2 for index in range(qubits))
    return tuple(sum(occupied[j] for j in _bravyi_kitaev_set(index)) % 2 for index in range(qubits))


def _bravyi_kitaev_set(index: int) -> Sequence[int]:
    """Orbitals whose occupations qubit `index` sums in the Bravyi–Kitaev (Fenwick tree) encoding."""
    number = index + 1
    return range(number - (number & -number), number)

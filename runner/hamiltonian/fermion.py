"""Fermions as qubits, spin-up orbitals before spin-down ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from runner.declare.checks import require_integer
from runner.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    from qiskit.quantum_info import SparsePauliOp

MAPPERS = ("jordan_wigner", "parity", "bravyi_kitaev")


def check_active_space(space: Sequence[int], orbitals: Sequence[int]) -> None:
    """Refuse an active space that is not [electrons, orbitals], or other orbitals than it has.

    Raises:
        ConfigError: naming the setting.
    """
    if len(space) not in (0, 2):
        raise ConfigError(
            f"must be [electrons, orbitals], got {space}; give two numbers", key="hamiltonian.active_space"
        )
    for index, count in enumerate(space):
        require_integer(f"hamiltonian.active_space[{index}]", count, 1, 1000)
    if orbitals and [len(orbitals)] != list(space[1:]):
        raise ConfigError(
            f"has {len(orbitals)} orbitals, active_space is {space}; make them equal",
            key="hamiltonian.active_orbitals",
        )
    for index, orbital in enumerate(orbitals):
        require_integer(f"hamiltonian.active_orbitals[{index}]", orbital, 0, 1000)
    if len(set(orbitals)) < len(orbitals):
        raise ConfigError(
            f"names one twice in {list(orbitals)}; name {len(orbitals)} different ones",
            key="hamiltonian.active_orbitals",
        )


def hartree_fock_state(qubits: int, electrons: tuple[int, int], mapper: str) -> tuple[int, ...]:
    """Bits of the Hartree–Fock determinant: the lowest orbitals of each spin filled, then mapped to qubits."""
    up, down = electrons
    half = qubits // 2
    occupied = [int(orbital < up) for orbital in range(half)] + [
        int(orbital < down) for orbital in range(half)
    ]
    return tuple(sum(occupied[orbital] for orbital in stored(qubit, mapper)) % 2 for qubit in range(qubits))


def stored(qubit: int, mapper: str) -> Sequence[int]:
    """The orbitals whose occupations qubit `qubit` holds the sum of, modulo 2."""
    if mapper == "jordan_wigner":
        return (qubit,)
    if mapper == "parity":
        return range(qubit + 1)
    number = qubit + 1  # Bravyi–Kitaev: a Fenwick tree
    return range(number - (number & -number), number)


def ladder(orbital: int, qubits: int, *, creates: bool) -> SparsePauliOp:
    """a† or a of one orbital in the Jordan–Wigner mapping: Z…Z (X ∓ iY)/2."""
    from qiskit.quantum_info import SparsePauliOp

    string = "Z" * orbital
    rest = "I" * (qubits - orbital - 1)
    sign = -0.5j if creates else 0.5j
    return SparsePauliOp([f"{rest}X{string}", f"{rest}Y{string}"], [0.5, sign])


def product(operators: Iterable[tuple[int, bool]], qubits: int) -> SparsePauliOp:
    """A product of (orbital, creates) ladder operators, Jordan–Wigner, leftmost first."""
    from qiskit.quantum_info import SparsePauliOp

    result = SparsePauliOp("I" * qubits)
    for orbital, creates in operators:
        result = (result @ ladder(orbital, qubits, creates=creates)).simplify()
    return result


def remap(operator: SparsePauliOp, mapper: str) -> SparsePauliOp:
    """A Jordan–Wigner operator in another mapping: conjugated by the CX circuit that re-encodes occupations."""
    if mapper == "jordan_wigner":
        return operator
    from qiskit import QuantumCircuit
    from qiskit.quantum_info import SparsePauliOp

    count = operator.num_qubits
    circuit = QuantumCircuit(count)
    for qubit in reversed(range(count)):
        for orbital in stored(qubit, mapper):
            if orbital != qubit:
                circuit.cx(orbital, qubit)
    paulis = operator.paulis.evolve(circuit, frame="s")
    return SparsePauliOp(paulis, operator.coeffs)


def electronic(one_body: np.ndarray, two_body: np.ndarray, constant: float) -> SparsePauliOp:
    """H = constant + Σ h_pq a†_pσ a_qσ + ½ Σ (pq|rs) a†_pσ a†_rτ a_sτ a_qσ, Jordan–Wigner.

    Args:
        one_body: h_pq over spatial orbitals, shape (n, n).
        two_body: (pq|rs) in chemists' order, shape (n, n, n, n).
        constant: nuclear repulsion and whatever else is fixed.
    """
    import itertools

    from qiskit.quantum_info import SparsePauliOp

    count = len(one_body)
    qubits = 2 * count
    hops = {
        (p, q, spin): product([(p + spin * count, True), (q + spin * count, False)], qubits)
        for p, q, spin in itertools.product(range(count), range(count), (0, 1))
    }
    parts = [constant * SparsePauliOp("I" * qubits)]
    for p, q, spin in hops:
        # a†p a†r as aq = (a†p aq)(a†r as) − δ(q,r) a†p as, the delta collected into the one-body part
        weight = one_body[p, q] - 0.5 * sum(two_body[p, r, r, q] for r in range(count))
        parts.append(weight * hops[p, q, spin])
    for (p, q, spin), (r, s, other) in itertools.product(hops, hops):
        if abs(two_body[p, q, r, s]) > 1e-12:
            parts.append(0.5 * two_body[p, q, r, s] * (hops[p, q, spin] @ hops[r, s, other]))
    total = SparsePauliOp.sum(parts).simplify(atol=1e-12)
    return SparsePauliOp(total.paulis, total.coeffs.real)

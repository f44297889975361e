"""Krylov subspaces: evolution that keeps what is conserved, energies from sampled states and from overlaps in time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runner.engine import memory
from runner.errors import ConfigError
from runner.hamiltonian.scale import collected, size
from runner.hamiltonian.sector import DENSE_STATES, MAX_STATES, lowest, matrix_among, sector_of

if TYPE_CHECKING:
    import numpy as np
    from qiskit.quantum_info import SparsePauliOp

MAX_QUBITS = 62
"""Bits of a basis state's number."""
LARGEST_RANGE = 14
"""Qubits up to which the range of the energies is computed; above, the sum of the coefficients bounds it."""
LEAST_MODULUS = 0.5
"""An eigenvalue of a time step lies on the unit circle; one that noise has brought so far inside is no energy."""

UNMOVED = 1e-9
"""Of the coefficients' sizes, what is no more than their rounding."""
NO_PART = 1e-12
"""Weight of an eigenstate in a basis state that is no more than rounding."""

ROUNDED = 0.02
"""Of the range, how far outside of it shot noise and Trotter's error may bring an energy."""


def by_flips(hamiltonian: SparsePauliOp) -> SparsePauliOp:
    """The same terms, those next to each other that flip the same qubits, in the order in which these first occur.

    Of a real Hamiltonian such terms commute, and together they conserve what the Hamiltonian conserves: each takes a
    basis state to one that no other group takes it to. So a product formula over them conserves it as well.

    Raises:
        ConfigError: the Hamiltonian is not real.
    """
    import numpy as np
    from qiskit.quantum_info import SparsePauliOp

    paulis = hamiltonian.paulis
    if ((paulis.x & paulis.z).sum(axis=1) % 2).any():
        raise ConfigError(
            "has terms with an odd number of Y, and Krylov states need a real one", key="hamiltonian"
        )
    groups: dict[bytes, list[int]] = {}
    for place, flips in enumerate(np.packbits(paulis.x, axis=1)):
        groups.setdefault(flips.tobytes(), []).append(place)
    order = [place for group in groups.values() for place in group]
    return SparsePauliOp(paulis[order], hamiltonian.coeffs[order])


def conserved(hamiltonian: SparsePauliOp) -> list[int]:
    """Sets of qubits, as bits of a number, of which the Hamiltonian keeps the number of ones; the largest sets known.

    Electrons of either spin in the mapping of Jordan and Wigner, else all qubits together, if that is so at all.
    """
    sector = sector_of(hamiltonian)
    everything = (1 << hamiltonian.num_qubits) - 1
    if sector is not None:
        if sector.mapper != "jordan_wigner":
            return []
        half = (1 << sector.qubits // 2) - 1
        return [half, everything ^ half]
    return [everything] if _keeps_ones(hamiltonian) else []


def _keeps_ones(hamiltonian: SparsePauliOp) -> bool:
    import numpy as np
    from qiskit.quantum_info import SparsePauliOp

    qubits = hamiltonian.num_qubits
    ones = SparsePauliOp.from_sparse_list([("Z", [qubit], 1.0) for qubit in range(qubits)], qubits)
    change = collected(hamiltonian @ ones - ones @ hamiltonian)
    return bool(np.abs(change.coeffs).sum() <= UNMOVED * size(hamiltonian))


def require(hamiltonian: SparsePauliOp, most: int, key: str) -> None:
    """Refuse a projected Hamiltonian that this computer cannot hold.

    Args:
        hamiltonian: on qubits.
        most: basis states of the subspace.
        key: the setting that says so.

    Raises:
        ConfigError: it cannot, or the states have more bits than a number.
    """
    import numpy as np

    if hamiltonian.num_qubits > MAX_QUBITS:
        raise ConfigError(
            f"has {hamiltonian.num_qubits} qubits; take at most {MAX_QUBITS}", key="hamiltonian"
        )
    flips = len(np.unique(hamiltonian.paulis.x, axis=0))
    try:
        memory.require(
            48 * most * flips, f"a Hamiltonian among {most} states"
        )  # entries, rows and columns, twice
    except ConfigError as error:
        raise ConfigError(f"{str(error).partition(';')[0]}; lower it", key=key) from error


def energy_among(hamiltonian: SparsePauliOp, states: np.ndarray) -> float:
    """The lowest energy among basis states by their numbers, rising, shape (S,)."""
    return float(lowest(matrix_among(hamiltonian, states), 1)[0])


def numbers_of(bits: np.ndarray) -> np.ndarray:
    """Basis states of shots of shape (S, qubits), qubit 0 last, as numbers of shape (S,)."""
    import numpy as np

    powers = 1 << np.arange(bits.shape[1], dtype=np.int64)[::-1]
    found: np.ndarray = bits.astype(np.int64) @ powers
    return found


def kept(states: np.ndarray, sets: Sequence[int], like: int) -> np.ndarray:
    """Which states have as many ones in every set of qubits as the state `like`, shape (S,)."""
    import numpy as np

    found = np.ones(len(states), dtype=bool)
    for one in sets:
        found &= np.bitwise_count(states & one) == (like & one).bit_count()
    return found


def reached(hamiltonian: SparsePauliOp, start: int) -> np.ndarray | None:
    """Basis states that the Hamiltonian's terms lead to from one, whatever way, by their numbers, rising.

    Rounded coefficients lead out of the numbers of ones that it conserves; that is not followed.

    Returns:
        None where they are more than 16 384.
    """
    import numpy as np

    powers = 1 << np.arange(hamiltonian.num_qubits, dtype=np.int64)
    flips, signs = hamiltonian.paulis.x @ powers, hamiltonian.paulis.z @ powers
    weights = hamiltonian.coeffs * 1j ** (hamiltonian.paulis.x & hamiltonian.paulis.z).sum(axis=1)
    nothing = UNMOVED * size(hamiltonian)
    groups = [(flip, signs[flips == flip], weights[flips == flip]) for flip in np.unique(flips) if flip]
    sets = conserved(hamiltonian)
    found = new = np.array([start])
    while new.size and len(found) <= MAX_STATES:
        parts = [new[:0]]
        for flip, own, weight in groups:
            odd = np.bitwise_count(new[:, None] & own) & 1
            parts.append(new[np.abs((1 - 2.0 * odd) @ weight) > nothing] ^ flip)
        moved = np.concatenate(parts)
        new = np.setdiff1d(moved[kept(moved, sets, start)], found)
        found = np.union1d(found, new)
    return found if len(found) <= MAX_STATES else None


def lowest_within(hamiltonian: SparsePauliOp, states: np.ndarray, start: int) -> float | None:
    """The lowest energy among basis states of whose eigenstates one has a part in one of them.

    Returns:
        None where there are too many to see to that, and the lowest of all has none.
    """
    import numpy as np
    from scipy.sparse.linalg import eigsh

    matrix, place = matrix_among(hamiltonian, states), int(np.searchsorted(states, start))
    if len(states) <= DENSE_STATES:
        energies, vectors = np.linalg.eigh(matrix.toarray())
        return float(energies[np.flatnonzero(np.abs(vectors[place]) ** 2 > NO_PART)[0]])
    # ARPACK's own start is not reproducible
    (energy,), vector = eigsh(matrix, k=1, which="SA", v0=np.random.default_rng(1).normal(size=len(states)))
    return float(energy) if abs(vector[place, 0]) ** 2 > NO_PART else None


@dataclass(frozen=True)
class Spectrum:
    """Where the energies are that a state has a part in."""

    vacuum: float
    """Energy of the state without any ones."""
    farthest: float
    """No energy is farther from it."""

    def tells(self, energy: float, stddev: float | None, step: float) -> bool:
        """Whether an energy that was found says more than that it is one of these.

        One that lies outside where all of them are is of noise, which adds frequencies that no state of the model has.
        And noise that shrinks overlaps moves |λ| inside the unit circle: of a bar half as long as all of the range, or
        as long as |λ|² < 1/2 makes it, nothing follows.

        Args:
            energy: against the vacuum's.
            stddev: its bar; None: not known.
            step: the time of one U.
        """
        if stddev is None or abs(energy) > (1 + ROUNDED) * self.farthest:
            return False
        return stddev <= min(self.farthest / 2, math.sqrt(0.5) / step)


def spectrum(hamiltonian: SparsePauliOp, ones: int) -> Spectrum:
    """Of a Hamiltonian that keeps the number of ones, among states with so many.

    Computed up to 14 qubits, above bounded by the sum of the coefficients' sizes.
    """
    import numpy as np

    diagonal = hamiltonian.coeffs.real[~hamiltonian.paulis.x.any(axis=1)]
    vacuum = float(diagonal.sum())
    if hamiltonian.num_qubits <= LARGEST_RANGE:
        states = np.arange(1 << hamiltonian.num_qubits)
        matrix = matrix_among(hamiltonian, states[np.bitwise_count(states) == ones])
        ends = lowest(matrix, 1)[0], -lowest(-matrix, 1)[0]
        return Spectrum(vacuum, max(abs(end - vacuum) for end in ends))
    return Spectrum(vacuum, 2 * size(hamiltonian))


@dataclass(frozen=True)
class PhaseEnergy:
    """The lowest energy in the span of states in time."""

    energy: float
    """As phases have it."""
    uncertainty: float
    """How far the nearest exact energy may be from it, for what the span leaves out of that state."""
    rank: int
    """Dimensions that are above the noise."""
    modulus: float
    """|λ|: 1 of an eigenstate; above, noise has moved it."""
    dimensions: np.ndarray
    """An orthonormal basis of these, (d, rank)."""

    def share_of(self, energy: float, step: float) -> float:
        """How much of the phases of an energy lies among the dimensions, 0 … 1.

        An eigenstate is in the matrix of overlaps with its weight in the start times e^(−iE(m−n)·step): one that noise
        hides is in none of the dimensions that are kept.

        Args:
            energy: as phases have it.
            step: the time of one U.
        """
        import numpy as np

        size = len(self.dimensions)
        phases = np.exp(-1j * energy * step * np.arange(size)) / math.sqrt(size)
        return float((np.abs(self.dimensions.conj().T @ phases) ** 2).sum())


def energy_of_overlaps(
    overlaps: Sequence[complex], step: float, threshold: float = 0.0, rank: int | None = None
) -> PhaseEnergy | None:
    """The lowest energy in the span of ψ, Uψ, … Uᵈ⁻¹ψ, from overlaps alone (Klymko et al. 2022).

    U's eigenvalues e^(−iE·step) are those of the pencil of two Toeplitz matrices, ⟨ψ|U^(m−n+1)|ψ⟩ and ⟨ψ|U^(m−n)|ψ⟩.
    A value λ that was found in the span is ⟨φ|U|φ⟩ of its state φ, so that 1 − |λ|² is the variance of U, and r² =
    (1 − |λ|²)/step² that of the energy: an exact energy is within r (Weinstein). Temple's r²/Δ, where the next one is Δ
    away, is not told: that may be so close that the span has both as one.

    Args:
        overlaps: ⟨ψ|Uᵏ|ψ⟩ for k = 0 … d.
        step: the time of one U, in 1/unit of the energy.
        threshold: eigenvalues of the second matrix, whose trace is d, that are below this are noise.
        rank: how many of its largest eigenvalues are none, in place of a threshold.

    Returns:
        None where nothing in the span is an energy.
    """
    import numpy as np

    series = np.asarray(overlaps)
    weights, vectors = np.linalg.eigh(hermitian_toeplitz(series[:-1]))
    if rank is not None:
        threshold = max(float(weights[-rank - 1]) if rank < len(weights) else 0.0, 0.0)
    large = weights > threshold
    basis = vectors[:, large] / np.sqrt(weights[large])
    values = np.linalg.eigvals(basis.conj().T @ _moved(series) @ basis)
    values = values[np.abs(values) > LEAST_MODULUS]
    if not values.size:
        return None
    energies = -np.angle(values) / step
    place = np.argmin(energies)
    modulus = float(abs(values[place]))
    uncertainty = math.sqrt(max(1 - modulus**2, 0)) / step
    return PhaseEnergy(float(energies[place]), uncertainty, int(large.sum()), modulus, vectors[:, large])


def hermitian_toeplitz(series: np.ndarray) -> np.ndarray:
    """The Hermitian matrices whose first columns are given: shape (…, d) → (…, d, d)."""
    import numpy as np

    place = np.arange(series.shape[-1])
    apart = place[:, None] - place
    found: np.ndarray = np.where(apart >= 0, series[..., abs(apart)], series[..., abs(apart)].conj())
    return found


def _moved(series: np.ndarray) -> np.ndarray:
    """⟨ψ|U^(m−n+1)|ψ⟩, shape (d, d), from those of k = 0 … d."""
    from scipy.linalg import toeplitz

    size = len(series) - 1
    found: np.ndarray = toeplitz(series[1:], [series[1], *series[: size - 1].conj()])
    return found


def noise_norm(noise: np.ndarray) -> float:
    """The mean spectral norm of what noise adds to the matrix of overlaps; of its size a threshold has to be.

    Epperly, Lin & Nakatsukasa, SIAM J. Matrix Anal. Appl. 43, 1263 (2022).

    Args:
        noise: draws of that of ⟨ψ|Uᵏ|ψ⟩, k = 0 … d − 1, shape (draws, d).
    """
    import numpy as np

    return float(np.abs(np.linalg.eigvalsh(hermitian_toeplitz(noise))).max(axis=-1).mean())


def contrast(shots: np.ndarray, qubit: int) -> tuple[float, float]:
    """P(0) − P(1) of one qubit together with zeros of all others, and its standard error.

    Args:
        shots: numbers of the basis states that were measured, shape (S,).
        qubit: which one.
    """
    zeros, ones = float((shots == 0).mean()), float((shots == 1 << qubit).mean())
    value = zeros - ones
    return value, math.sqrt(max(zeros + ones - value**2, 1 / len(shots)) / len(shots))

r"""States of many qubits with little entanglement: matrix product states, with what is cut off of them counted.

    |ψ⟩ = \sum_s A_1^{s_1} A_2^{s_2} … A_n^{s_n} |s_1 s_2 … s_n⟩,

kept in mixed canonical form, so that the singular values of a cut are the state's Schmidt coefficients there
(Vidal 2003; Schollwöck 2011). Leaving out those of squares ε in all turns the normalized state by an angle arcsin √ε,
and angles between states add up at most: after all of them the state is within the angle Θ of the true one, the
probabilities of outcomes are wrong by sin Θ in all at most, and an expectation value by 2 sin Θ times Σ|c| of its Pauli
strings.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit import QuantumCircuit
from qiskit.quantum_info import Operator
from qiskit.transpiler import PassManager
from qiskit.transpiler.passes import Unroll3qOrMore

from runner.engine.executed import matrix_of
from runner.engine.memory import require
from runner.errors import TruncationError
from runner.record.interruption import pause

_SHOT_BYTES = 128 << 20
"""What the left parts of all distinct outcomes so far may take; more shots are drawn in several goes."""
_SVD_COPIES = 8
"""Matrices of the size of two sites that a singular value decomposition holds at once."""
_PAULIS = {
    "I": np.eye(2, dtype=complex),
    "X": np.array([[0, 1], [1, 0]], dtype=complex),
    "Y": np.array([[0, -1j], [1j, 0]]),
    "Z": np.diag([1.0 + 0j, -1.0]),
}
_BASES = {
    "Z": np.eye(2, dtype=complex),
    "X": np.array([[1, 1], [1, -1]], dtype=complex) / math.sqrt(2),
    "Y": np.array([[1, -1j], [1, 1j]]) / math.sqrt(2),
}
"""Rows: the bras of the outcomes 0 and 1."""
_SWAP = np.eye(4, dtype=complex)[[0, 2, 1, 3]]
_DOUBLING = frozenset(
    ["cx", "cy", "cz", "ch", "cs", "csdg", "csx", "cp", "crx", "cry", "crz", "cu", "cu1", "cu3", "ecr"]
).union(["rxx", "ryy", "rzz", "rzx"])
"""Gates of two qubits that multiply the singular values of a cut by 2 at most; others by 4."""


LOSSY = 1e-12
"""The threshold where not all singular values have room, and none is declared."""


@dataclass(frozen=True)
class BondLimits:
    """What is left out of a matrix product state, and how much of that is too much."""

    max_bond_dimension: int = 256
    """Singular values kept at a cut."""
    threshold: float | None = None
    """Squares of the smallest singular values that are left out at a cut, in all, however many are kept; None: those of
    rounding where all the others have room, else `LOSSY`."""
    max_discarded_weight: float = 1e-6
    """Sum of the squares of everything that is left out, above which the result is refused."""


@dataclass(frozen=True)
class Gates:
    """A circuit as matrices on one and two places of a line."""

    order: tuple[int, ...]
    """The qubit at each place."""
    steps: tuple[tuple[tuple[int, ...], int], ...]
    """Places, and the instruction's number in `circuit`; the first place is the instruction's first qubit."""
    circuit: QuantumCircuit
    """Of instructions on one and two qubits."""

    @classmethod
    def of(cls, circuit: QuantumCircuit) -> Gates:
        """A unitary circuit, its qubits in the better of two orders.

        These are the circuit's own and Cuthill and McKee's (1969) of the graph of its gates, which puts qubits that
        meet near each other; better is the one with the fewer exchanges of neighbours.
        """
        small = PassManager([Unroll3qOrMore()]).run(circuit)
        pairs = [[small.find_bit(bit).index for bit in item.qubits] for item in small.data]
        orders = [tuple(range(small.num_qubits)), _near(small.num_qubits, pairs)]
        order = min(orders, key=lambda one: _exchanges(one, pairs))
        place = {qubit: index for index, qubit in enumerate(order)}
        steps = tuple(
            (tuple(place[qubit] for qubit in qubits), number)
            for number, qubits in enumerate(pairs)
            if qubits and small.data[number].operation.name not in ("barrier", "delay", "id")
        )
        return cls(order, steps, small)

    def bond_dimension(self) -> int:
        """The most that the singular values of any cut can number, by the gates that cross it.

        A gate of two qubits multiplies them by 2 or 4 at most, and no cut has more than its smaller side allows.
        """
        size = len(self.order)
        doubled = np.zeros(max(size - 1, 1), dtype=int)
        for places, number in self.steps:
            if len(places) == 2:
                doubled[min(places) : max(places)] += self.doublings(number)
        sides = np.minimum(np.arange(1, size), np.arange(size - 1, 0, -1)) if size > 1 else np.zeros(1, int)
        return 1 << min(int(np.minimum(doubled, sides).max(initial=0)), 62)

    def doublings(self, number: int) -> int:
        """How often an instruction on two qubits may double the singular values between them."""
        return 1 if self.circuit.data[number].operation.name in _DOUBLING else 2

    def bound(self, parameters: Sequence[Any], row: NDArray) -> list[tuple[tuple[int, ...], NDArray]]:
        """The matrices at one parameter set, in the order of time."""
        circuit = self.circuit
        if circuit.parameters:
            own = set(circuit.parameters)
            values = {p: float(v) for p, v in zip(parameters, row, strict=True) if p in own}
            circuit = circuit.assign_parameters(values)
        return [(places, _matrix(circuit.data[number].operation)) for places, number in self.steps]


def _matrix(operation: Any) -> NDArray:
    matrix = matrix_of(operation)
    return Operator(operation).data if matrix is None else matrix


def _near(size: int, pairs: Sequence[Sequence[int]]) -> tuple[int, ...]:
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import reverse_cuthill_mckee

    met = [pair for pair in pairs if len(pair) == 2]
    if not met:
        return tuple(range(size))
    first, second = np.array(met).T
    graph = csr_matrix((np.ones(len(met)), (first, second)), shape=(size, size))
    return tuple(reverse_cuthill_mckee((graph + graph.T).tocsr(), symmetric_mode=True).tolist())


def _exchanges(order: Sequence[int], pairs: Sequence[Sequence[int]]) -> int:
    place = {qubit: index for index, qubit in enumerate(order)}
    return sum(abs(place[pair[0]] - place[pair[1]]) - 1 for pair in pairs if len(pair) == 2)


class Losses:
    """What was left out of the states of B parameter sets; pieces of a circuit add up."""

    def __init__(self, sets: int) -> None:
        self.discarded = np.zeros(sets)
        """Squares of singular values, (B,)."""
        self.angles = np.zeros(sets)
        """How far from the true states they may be, (B,)."""
        self.any = False
        """Whether any state was one from which something may be left out."""

    def add(self, index: int, state: MatrixProduct) -> None:
        """Count a state of one parameter set."""
        self.any = True
        self.discarded[index] += state.discarded
        self.angles[index] += state.angle

    def worst(self, other: Losses) -> None:
        """Take in those of another circuit, where they are larger."""
        self.any |= other.any
        self.discarded = np.maximum(self.discarded, other.discarded)
        self.angles = np.maximum(self.angles, other.angles)

    @property
    def distances(self) -> NDArray:
        """By how much probabilities may be wrong, in all, (B,)."""
        return np.sin(np.minimum(self.angles, math.pi / 2))


class MatrixProduct:
    """A state of n qubits on a line, |0…0⟩ at first.

    Args:
        gates: whose line of places it is on.
        limits: what is left out.
    """

    def __init__(self, gates: Gates, limits: BondLimits) -> None:
        self._order = gates.order
        self._limits = limits
        roomy = gates.bond_dimension() <= limits.max_bond_dimension
        self._threshold = LOSSY if limits.threshold is None and not roomy else limits.threshold
        self._sites: list[NDArray] = [np.array([[[1.0], [0.0]]], dtype=complex) for _ in gates.order]
        self._center = 0
        self.discarded = 0.0
        """Σε of everything left out."""
        self.angle = 0.0
        """Θ: how far from the true state it may be, at most π/2."""
        self.widest = 1
        """The largest bond dimension so far."""

    def apply(self, steps: Sequence[tuple[tuple[int, ...], NDArray]]) -> None:
        """Apply gates; of those that no earlier one holds up, the one nearest to the centre comes first.

        Raises:
            TruncationError: more is left out than may be.
        """
        queues: dict[int, list[int]] = {}
        for number, (places, _) in enumerate(steps):
            for place in places:
                queues.setdefault(place, []).append(number)
        for queue in queues.values():
            queue.reverse()
        ready = {number for number in range(len(steps)) if self._is_first(steps[number][0], queues, number)}
        while ready:
            number = min(ready, key=lambda one: (self._way(steps[one][0]), one))
            ready.remove(number)
            places, matrix = steps[number]
            if len(places) == 1:
                self._sites[places[0]] = np.einsum("st,atb->asb", matrix, self._sites[places[0]])
            else:
                self._pair(places[0], places[1], matrix)
            for place in places:
                queues[place].pop()
            for place in places:
                if queues[place] and self._is_first(steps[queues[place][-1]][0], queues, queues[place][-1]):
                    ready.add(queues[place][-1])

    @staticmethod
    def _is_first(places: Sequence[int], queues: dict[int, list[int]], number: int) -> bool:
        return all(queues[place][-1] == number for place in places)

    def _way(self, places: Sequence[int]) -> int:
        return 0 if len(places) == 1 else min(abs(self._center - place) for place in places)

    def _pair(self, first: int, second: int, matrix: NDArray) -> None:
        """A gate on two places, their states being brought next to each other and back."""
        if first > second:
            first, second, matrix = second, first, _SWAP @ matrix @ _SWAP
        for place in range(second - 1, first, -1):
            self._neighbours(place, _SWAP)
        self._neighbours(first, matrix)
        for place in range(first + 1, second):
            self._neighbours(place, _SWAP)

    def _neighbours(self, place: int, matrix: NDArray) -> None:
        """A gate on a place and the next one; the matrix counts the place's bit as the lower one."""
        pause()
        self._go_to(place if self._center <= place else place + 1)
        left, right = self._sites[place], self._sites[place + 1]
        outer, inner = left.shape[0], right.shape[2]
        both = np.tensordot(left, right, axes=(2, 0))  # (a, low, high, b)
        gate = matrix.reshape(2, 2, 2, 2)  # (high', low', high, low)
        both = np.tensordot(gate, both, axes=([3, 2], [1, 2]))  # (high', low', a, b)
        flat = both.transpose(2, 1, 0, 3).reshape(2 * outer, 2 * inner)
        u, values, v = _decomposed(flat)
        kept = self._kept(values)
        values = values[:kept] / math.sqrt(float(values[:kept] @ values[:kept]))
        self._sites[place] = u[:, :kept].reshape(outer, 2, kept)
        self._sites[place + 1] = (values[:, None] * v[:kept]).reshape(kept, 2, inner)
        self._center = place + 1
        self.widest = max(self.widest, kept)

    def _kept(self, values: NDArray) -> int:
        """How many singular values stay; what goes is counted, but for values of rounding.

        Those are no larger than the error with which a decomposition finds any: values that are zero come out so.

        Raises:
            TruncationError: more than may go.
        """
        if self._threshold is None:
            rounding = len(values) * np.finfo(float).eps * values[0]
            return max(1, int(np.count_nonzero(values > rounding)))
        squares = values**2
        squares /= squares.sum()
        tail = np.cumsum(squares[::-1])[::-1]  # what goes if so many stay
        small = np.flatnonzero(tail <= self._threshold)
        kept = max(1, min(int(small[0]) if len(small) else len(values), self._limits.max_bond_dimension))
        if kept < len(values):
            lost = float(tail[kept])
            self.discarded += lost
            self.angle += math.asin(min(math.sqrt(lost), 1.0))
            if self.discarded > self._limits.max_discarded_weight:
                raise TruncationError(
                    f"the matrix product state has lost a weight of {self.discarded:.2g} with {kept} singular values "
                    f"at a cut, more than the {self._limits.max_discarded_weight:g} that it may lose; raise "
                    "backend.max_bond_dimension, or backend.max_discarded_weight",
                    larger=(f"backend.max_bond_dimension={2 * self._limits.max_bond_dimension}",),
                )
        return kept

    def _go_to(self, place: int) -> None:
        """Move the centre, by QR decompositions."""
        while self._center < place:
            site = self._sites[self._center]
            outer, _, inner = site.shape
            q, r = np.linalg.qr(site.reshape(outer * 2, inner))
            self._sites[self._center] = q.reshape(outer, 2, -1)
            self._sites[self._center + 1] = np.tensordot(r, self._sites[self._center + 1], axes=(1, 0))
            self._center += 1
        while self._center > place:
            site = self._sites[self._center]
            outer, _, inner = site.shape
            q, r = np.linalg.qr(site.reshape(outer, 2 * inner).T)
            self._sites[self._center] = q.T.reshape(-1, 2, inner)
            self._sites[self._center - 1] = np.tensordot(self._sites[self._center - 1], r, axes=(2, 1))
            self._center -= 1

    def expectations(self, x: NDArray, z: NDArray) -> NDArray:
        """⟨P⟩ of Pauli strings given by what they flip and what they sign, (terms, qubits) booleans each; (terms,).

        Strings that begin with the same letters share what these contract to.
        """
        letters = (x.astype(int) + 2 * z.astype(int))[:, self._order]
        result = np.ones(len(letters))
        begins = [int(np.flatnonzero(row)[0]) if row.any() else -1 for row in letters]
        ends = [int(np.flatnonzero(row)[-1]) if row.any() else -1 for row in letters]
        for begin in sorted(set(begins) - {-1}):
            self._go_to(begin)
            own = [term for term, one in enumerate(begins) if one == begin]
            own.sort(key=lambda term: tuple(letters[term]))
            before: tuple[int, ...] = ()
            stack: list[NDArray] = [np.eye(self._sites[begin].shape[0], dtype=complex)]
            for term in own:
                pause()
                word = tuple(letters[term, begin : ends[term] + 1].tolist())
                same = next((i for i, (a, b) in enumerate(zip(word, before, strict=False)) if a != b), None)
                same = min(len(word), len(before)) if same is None else same
                del stack[same + 1 :]
                for index in range(same, len(word)):
                    stack.append(self._extended(stack[-1], begin + index, "IXZY"[word[index]]))
                before = word
                result[term] = float(np.trace(stack[-1]).real)
        return result

    def _extended(self, environment: NDArray, place: int, letter: str) -> NDArray:
        site = self._sites[place]
        acted = site if letter == "I" else np.einsum("st,atb->asb", _PAULIS[letter], site)
        half = np.tensordot(environment, acted, axes=(1, 0))  # (bra, s, ket')
        return np.tensordot(site.conj(), half, axes=([0, 1], [0, 1]))

    def samples(
        self, letters: dict[int, str], qubits: Sequence[int], shots: int, generator: np.random.Generator
    ) -> NDArray:
        """Outcomes of measuring qubits in the bases of their letters, (shots, len(qubits)) booleans.

        Places are measured one after the other, given those before; equal beginnings are worked out once.
        """
        self._go_to(0)
        last = max((place for place, qubit in enumerate(self._order) if qubit in set(qubits)), default=-1)
        points = generator.random((shots, last + 1))
        turned = [
            np.einsum("st,atb->sab", _BASES[letters.get(qubit, "Z")], self._sites[place])
            for place, qubit in enumerate(self._order[: last + 1])
        ]
        bits = np.zeros((shots, len(self._order)), dtype=bool)
        step = max(1, _SHOT_BYTES // (64 * self.widest))
        for start in range(0, shots, step):
            bits[start : start + step, : last + 1] = _drawn(turned, points[start : start + step])
        place_of = {qubit: place for place, qubit in enumerate(self._order)}
        return bits[:, [place_of[qubit] for qubit in qubits]]


def _drawn(sites: Sequence[NDArray], points: NDArray) -> NDArray:
    """Outcomes by the conditional probabilities of one place after the other."""
    bits = np.zeros(points.shape, dtype=bool)
    beginning = np.zeros(len(points), dtype=np.int64)
    vectors = np.ones((1, 1), dtype=complex)
    for place, site in enumerate(sites):
        pause()
        ahead = np.stack([vectors @ site[0], vectors @ site[1]], axis=1)  # (beginnings, outcome, b)
        weights = np.einsum("uob,uob->uo", ahead.real, ahead.real) + np.einsum(
            "uob,uob->uo", ahead.imag, ahead.imag
        )
        share = weights[:, 1] / weights.sum(axis=1)
        bits[:, place] = points[:, place] < share[beginning]
        branches, beginning = np.unique(2 * beginning + bits[:, place], return_inverse=True)
        vectors = ahead[branches >> 1, branches & 1]
        vectors /= np.sqrt(weights[branches >> 1, branches & 1])[:, None]
    return bits


def _decomposed(matrix: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    try:
        return np.linalg.svd(matrix, full_matrices=False)
    except np.linalg.LinAlgError:  # the quick way did not converge; the slow one does
        from scipy.linalg import svd

        return svd(matrix, full_matrices=False, lapack_driver="gesvd")


class ProductProgram:
    """A unitary circuit whose states are matrix products.

    Args:
        circuit: unitary.
        parameters: the order of the values given to `prepared`.
        limits: what is left out.
    """

    def __init__(self, circuit: QuantumCircuit, parameters: Sequence[Any], limits: BondLimits) -> None:
        self._parameters = list(parameters)
        self._limits = limits
        self.gates = Gates.of(circuit)
        self.widest = min(self.gates.bond_dimension(), limits.max_bond_dimension)
        """The most singular values at a cut."""
        self._ahead: tuple[bytes, MatrixProduct] | None = None

    def foresee(self, row: NDArray) -> None:
        """Make the state at one parameter set, (P,), and keep it for the first who asks for it.

        Raises:
            TruncationError: more is left out than may be.
        """
        self._ahead = None
        self._ahead = row.tobytes(), self.prepared(row)

    def prepared(self, row: NDArray) -> MatrixProduct:
        """The state at one parameter set, (P,).

        Raises:
            TruncationError: more is left out than may be.
            ConfigError: it takes more memory than there is.
        """
        ahead, self._ahead = self._ahead, None
        if ahead is not None and ahead[0] == row.tobytes():
            return ahead[1]
        self.require()
        state = MatrixProduct(self.gates, self._limits)
        state.apply(self.gates.bound(self._parameters, row))
        return state

    @property
    def fits(self) -> bool:
        """Has every cut room for all of its singular values?"""
        return self.gates.bond_dimension() <= self._limits.max_bond_dimension

    @property
    def truncates(self) -> bool:
        """Can anything but rounding be left out?"""
        return not self.fits or self._limits.threshold is not None

    def require(self) -> None:
        """Refuse a state that may take more memory than there is.

        Raises:
            ConfigError: with both sizes.
        """
        size = len(self.gates.order)
        require(
            16 * 4 * self.widest**2 * (size // 2 + _SVD_COPIES),
            f"a matrix product state of {size} qubits with {self.widest} singular values at a cut",
        )

    def in_words(self) -> str:
        """What it is."""
        size, most = len(self.gates.order), self._limits.max_bond_dimension
        kept = f"at most {self.widest} singular values at a cut"
        if not self.fits:
            kept = f"{most} singular values kept at a cut"
        elif not self.truncates:
            kept += ", which leaves nothing out"
        elif self._limits.threshold:
            kept += f" but for a weight of up to {self._limits.threshold:g}"
        return f"a matrix product state of {size} qubits, {kept}"

"""Observables as Pauli sums: unique terms, real coefficients, measurement bases."""

from __future__ import annotations

import cmath
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.primitives.containers.object_array import object_array
from qiskit.primitives.containers.observables_array import ObservablesArray
from qiskit.quantum_info import Pauli, PauliList, SparseObservable, SparsePauliOp

from runner.errors import ConfigError

_PROJECTORS = {
    "0": (("I", 0.5), ("Z", 0.5)),
    "1": (("I", 0.5), ("Z", -0.5)),
    "+": (("I", 0.5), ("X", 0.5)),
    "-": (("I", 0.5), ("X", -0.5)),
    "r": (("I", 0.5), ("Y", 0.5)),
    "l": (("I", 0.5), ("Y", -0.5)),
}
_MAX_PROJECTORS = 12
LARGEST = 1e60
"""Largest coefficient: squares of sums of them, and squares of those, are still numbers."""
_ROUNDING = 1e-12
"""Imaginary parts of coefficients, of the largest one's size, that arithmetic leaves behind."""
_CANCELLED = 1e-14
"""Coefficients below this, of the largest one's size, are what is left of numbers that cancel."""
_RANGE_BITS = 12
"""Up to this many measured qubits all outcomes of a basis are looked at."""


@dataclass(frozen=True)
class ObservableTerms:
    r"""Observables `O_a = \sum_t C_{at} P_t` over unique Pauli strings `P_t`."""

    num_qubits: int
    shape: tuple[int, ...]
    labels: tuple[str, ...]
    """The Pauli strings, sorted; qubit 0 is the last letter."""
    coefficients: NDArray
    """C, (number of observables, number of terms)."""
    x: NDArray
    """Which qubits a term flips, (terms, qubits), booleans."""
    z: NDArray
    """Which qubits a term signs, (terms, qubits), booleans."""

    @property
    def support(self) -> NDArray:
        """Which qubits a term acts on, (terms, qubits)."""
        return self.x | self.z

    def text(self) -> str:
        """The observables as canonical text: sorted labels and exact coefficients."""
        lines = [f"observables {self.shape} {self.num_qubits}"]
        for row in self.coefficients:
            lines.append(" ".join(f"{self.labels[t]}:{float(row[t])!r}" for t in np.flatnonzero(row)))
        return "\n".join(lines)


def pauli_terms(observables: Any) -> ObservableTerms:
    """Observables of any kind the primitives take, as Pauli sums with real coefficients; such sums as they are."""
    if isinstance(observables, ObservableTerms):
        return observables
    array = observables_array(observables)
    if not array.size:
        raise ConfigError("Empty observables array is not allowed; give one observable at least")
    sums = [_expand(element) for element in array.ravel().tolist()]
    return summed(sums, array.num_qubits, array.shape)


def summed(sums: Sequence[Mapping[str, float]], num_qubits: int, shape: tuple[int, ...]) -> ObservableTerms:
    """Pauli sums over their unique strings.

    Args:
        sums: string → coefficient of each observable; one may be empty.
        num_qubits: letters of a string.
        shape: of the observables.
    """
    labels = sorted({label for element in sums for label in element})
    position = {label: index for index, label in enumerate(labels)}
    coefficients = np.zeros((len(sums), len(labels)))
    for row, element in enumerate(sums):
        for label, coefficient in element.items():
            coefficients[row, position[label]] = coefficient
    letters = np.array([list(label[::-1]) for label in labels]).reshape(len(labels), -1)
    return ObservableTerms(
        num_qubits=num_qubits,
        shape=shape,
        labels=tuple(labels),
        coefficients=coefficients,
        x=(letters == "X") | (letters == "Y"),
        z=(letters == "Z") | (letters == "Y"),
    )


def observables_array(observables: Any) -> ObservablesArray:
    """Observables of any kind the primitives take as Qiskit's own array, with terms of whatever size.

    Qiskit's `coerce` leaves out what is below 1e-8, in whatever unit; an array of its own has lost that before.

    Raises:
        ConfigError: they are none.
    """
    if isinstance(observables, ObservablesArray):
        return observables
    try:
        array = object_array(observables, copy=True, list_types=(PauliList,))
        for place, one in np.ndenumerate(array):
            array[place] = _added_up(one)
        if len({one.num_qubits for one in array.flat}) > 1:
            raise ValueError("all of them must have the same number of qubits")
        return ObservablesArray(array, copy=False, validate=False)
    except ConfigError:
        raise
    except (ValueError, TypeError) as error:
        raise ConfigError(f"not an observable: {error}".splitlines()[0]) from error


def kept_whole(pub: Any) -> Any:
    """An Estimator PUB whose observables lose nothing where Qiskit or the client makes an array of them."""
    if isinstance(pub, EstimatorPub) or not isinstance(pub, list | tuple) or len(pub) < 2:
        return pub
    return (pub[0], observables_array(pub[1]), *pub[2:])


def _added_up(observable: Any) -> SparseObservable:
    """One observable, whose equal terms are added up, without terms that are what is left of numbers that cancel."""
    if isinstance(observable, Mapping):
        total = SparseObservable.from_list([_letters(word, number) for word, number in observable.items()])
    elif isinstance(observable, str | Pauli | SparsePauliOp | SparseObservable):
        total = SparseObservable(observable)
    else:
        raise TypeError(f"{type(observable).__name__} is no kind of it")
    sizes = np.abs(total.coeffs)
    for place in np.flatnonzero(~(sizes <= LARGEST))[:1]:
        _require_finite(complex(total.coeffs[place]), _label_of(total, place))
    # a constant may be larger than all else by far, and what is measured is the rest
    measured = sizes[np.diff(total.boundaries) > 0]
    total = total.simplify(_CANCELLED * float((measured if measured.any() else sizes).max(initial=0.0)))
    numbers = np.asarray(total.coeffs)
    if not len(numbers):
        raise ConfigError("an observable's coefficients are all zero or cancel; give one that does not")
    for place in np.flatnonzero(np.abs(numbers.imag) > _ROUNDING * np.abs(numbers).max())[:1]:
        raise ConfigError(
            f"an observable must have real coefficients, got {complex(numbers[place])} for {_label_of(total, place)}"
        )
    return SparseObservable.from_raw_parts(
        total.num_qubits, numbers.real.astype(complex), total.bit_terms, total.indices, total.boundaries
    )


def _letters(word: str | Pauli, number: complex) -> tuple[str, complex]:
    """One term of a mapping; a Pauli's phase goes into its coefficient."""
    return (word[:].to_label(), (-1j) ** word.phase * number) if isinstance(word, Pauli) else (word, number)


def _label_of(observable: SparseObservable, place: int) -> str:
    """The word of one of its terms."""
    word, qubits, _ = observable.to_sparse_list()[place]
    letters = dict(zip(qubits, word, strict=True))
    return "".join(letters.get(qubit, "I") for qubit in reversed(range(observable.num_qubits)))


def _require_finite(coefficient: complex, label: str) -> None:
    if not cmath.isfinite(coefficient):
        raise ConfigError(f"an observable must have finite coefficients, got {coefficient.real} for {label}")
    if abs(coefficient) > LARGEST:
        raise ConfigError(
            f"an observable must have coefficients up to {LARGEST:g}, got {abs(coefficient):g} for {label}"
        )


def _expand(element: Mapping[str, complex]) -> dict[str, float]:
    """One observable with its projectors written out in Pauli strings."""
    result: dict[str, float] = {}
    largest = max(map(abs, element.values()), default=0.0)
    for label, coefficient in element.items():
        value = complex(coefficient)
        _require_finite(value, label)
        if abs(value.imag) > _ROUNDING * largest:
            raise ConfigError(f"an observable must have real coefficients, got {value} for {label}")
        projectors = sum(letter in _PROJECTORS for letter in label)
        if not projectors:
            result[label] = result.get(label, 0.0) + value.real
            continue
        if projectors > _MAX_PROJECTORS:
            raise ConfigError(
                f"an observable may have at most {_MAX_PROJECTORS} projectors in a term, got {projectors}"
            )
        choices = [_PROJECTORS.get(letter, ((letter, 1.0),)) for letter in label]
        for combination in itertools.product(*choices):
            expanded = "".join(letter for letter, _ in combination)
            weight = float(np.prod([factor for _, factor in combination]))
            result[expanded] = result.get(expanded, 0.0) + value.real * weight
    return result


def variance_bounds(terms: ObservableTerms, bases: Sequence[Sequence[int]]) -> NDArray:
    """The most that each observable's variance by one shot per basis can be, shape (observables,).

    What a basis contributes lies between the smallest and the largest value of its outcomes, so its variance is at
    most half of that range squared (Popoviciu 1935). With many qubits Σ|c| stands for the half.
    """
    total = np.zeros(len(terms.coefficients))
    for basis in bases:
        total += highest_variances(terms.coefficients[:, basis], terms.support[basis])
    return total


def highest_variances(weights: NDArray, masks: NDArray) -> NDArray:
    """The most that the variance of a weighted sum of signs can be, (observables,); see `variance_bounds`.

    Args:
        weights: of the signs, (observables, signs).
        masks: whose bits' parity each sign is, (signs, bits), booleans.
    """
    read = np.flatnonzero(masks.any(axis=0))
    if len(read) > _RANGE_BITS:
        return np.asarray(np.abs(weights).sum(axis=1) ** 2)
    outcomes = (np.arange(2 ** len(read))[:, None] >> np.arange(len(read))) & 1
    values = weights @ (1 - 2 * (masks[:, read].astype(int) @ outcomes.T & 1))
    return np.asarray((np.ptp(values, axis=1) / 2) ** 2)


def measurement_bases(x: NDArray, z: NDArray) -> list[list[int]]:
    """Terms in as few qubit-wise commuting groups as the best of several greedy orders finds.

    Never more groups than qiskit's `PauliList.group_commuting(qubit_wise=True)`: that is one of the candidates.
    """
    terms = [int(t) for t in np.flatnonzero((x | z).any(axis=1))]
    if not terms:
        return []
    weight = {t: int((x[t] | z[t]).sum()) for t in terms}
    lexical = {t: (tuple(x[t]), tuple(z[t])) for t in terms}
    orders: list[Sequence[int]] = [
        sorted(terms, key=lambda t: -weight[t]),
        sorted(terms, key=lambda t: (-weight[t], lexical[t])),
        sorted(terms, key=lambda t: (lexical[t], -weight[t])),
    ]
    candidates = [_first_fit(order, x, z) for order in orders]
    if len(min(candidates, key=len)) > 1:
        candidates.extend(_coloured(terms, x, z))
    return min(candidates, key=len)


def _first_fit(order: Sequence[int], x: NDArray, z: NDArray) -> list[list[int]]:
    groups: list[list[int]] = []
    bases_x = np.zeros((len(order), x.shape[1]), dtype=bool)
    bases_z = np.zeros_like(bases_x)
    for term in order:
        used = len(groups)
        both = (bases_x[:used] | bases_z[:used]) & (x[term] | z[term])
        clash = both & ((bases_x[:used] ^ x[term]) | (bases_z[:used] ^ z[term]))
        free = np.flatnonzero(~clash.any(axis=1))
        group = int(free[0]) if len(free) else used
        if group == used:
            groups.append([])
        groups[group].append(term)
        bases_x[group] |= x[term]
        bases_z[group] |= z[term]
    return [sorted(group) for group in groups]


def _coloured(terms: Sequence[int], x: NDArray, z: NDArray) -> list[list[list[int]]]:
    """Groups from colouring the graph of terms that do not commute: qiskit's own way and two more strategies."""
    import rustworkx

    graph = PauliList.from_symplectic(z[terms], x[terms]).noncommutation_graph(qubit_wise=True)
    strategy = rustworkx.ColoringStrategy
    candidates = []
    for choice in (strategy.Degree, strategy.Saturation, strategy.IndependentSet):
        groups: dict[int, list[int]] = {}
        for node, colour in sorted(rustworkx.graph_greedy_color(graph, strategy=choice).items()):
            groups.setdefault(colour, []).append(terms[node])
        candidates.append(list(groups.values()))
    return candidates


def letters_of(terms: ObservableTerms, group: Sequence[int]) -> dict[int, str]:
    """What a group of terms that are measured together reads: qubit → X, Y or Z."""
    x, z = np.asarray(terms.x[group].any(axis=0)), np.asarray(terms.z[group].any(axis=0))
    return {int(q): "Y" if x[q] and z[q] else "X" if x[q] else "Z" for q in np.flatnonzero(x | z)}

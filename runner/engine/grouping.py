"""Which terms of observables are measured together, and how much each basis may spread."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from runner.engine.observables import ObservableTerms, measurement_bases, variance_bounds

QUBIT_WISE, SORTED, COMMUTING = "qubit_wise", "sorted", "commuting"
GROUPINGS = (QUBIT_WISE, SORTED, COMMUTING)
"""As few bases as can be, as the service does it; sorted insertion qubit by qubit; sorted insertion of all that
commutes, measured after a Clifford circuit."""

Joins = Callable[[NDArray, NDArray, NDArray, NDArray], bool]


def groups_of(terms: ObservableTerms, grouping: str) -> list[list[int]]:
    """The terms of each basis, but for the identity.

    `sorted` and `commuting` are sorted insertion: terms by descending weight, each into the first group that it
    commutes with (Crawford et al., Quantum 5, 385 (2021)). Of several observables a term weighs √Σc².
    """
    if grouping == QUBIT_WISE:
        return measurement_bases(terms.x, terms.z)
    return sorted_insertion(terms, _commute if grouping == COMMUTING else _commute_qubit_wise)


def sorted_insertion(terms: ObservableTerms, joins: Joins) -> list[list[int]]:
    """Groups by sorted insertion.

    Args:
        terms: what is grouped.
        joins: whether a term, `x` and `z` of shape (qubits,), fits to those of a group, (terms, qubits) each.
    """
    weights = np.sqrt((terms.coefficients**2).sum(axis=0))
    measured = np.flatnonzero(terms.support.any(axis=1)).tolist()
    groups: list[list[int]] = []
    for term in sorted(measured, key=lambda t: (-weights[t], terms.labels[t])):
        for group in groups:
            if joins(terms.x[term], terms.z[term], terms.x[group], terms.z[group]):
                group.append(term)
                break
        else:
            groups.append([term])
    return [sorted(group) for group in groups]


def _commute_qubit_wise(x: NDArray, z: NDArray, of_x: NDArray, of_z: NDArray) -> bool:
    both = (of_x | of_z) & (x | z)
    return not bool((both & ((of_x ^ x) | (of_z ^ z))).any())


def _commute(x: NDArray, z: NDArray, of_x: NDArray, of_z: NDArray) -> bool:
    return not bool((((of_x & z).sum(axis=1) + (of_z & x).sum(axis=1)) & 1).any())


def mean_variances_by_basis(terms: ObservableTerms, bases: Sequence[Sequence[int]]) -> NDArray:
    """Variance of one shot of each basis in a random state, Σ c² of its terms; (observables, bases)."""
    return _side_by_side([(terms.coefficients[:, basis] ** 2).sum(axis=1) for basis in bases], terms)


def variance_bounds_by_basis(terms: ObservableTerms, bases: Sequence[Sequence[int]]) -> NDArray:
    """The most that the variance of one shot of each basis can be; (observables, bases)."""
    return _side_by_side([variance_bounds(terms, [basis]) for basis in bases], terms)


def _side_by_side(columns: Sequence[NDArray], terms: ObservableTerms) -> NDArray:
    return np.stack(columns, axis=1) if columns else np.zeros((len(terms.coefficients), 0))

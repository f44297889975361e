"""Which terms every basis can read, how much of each it is to read, and what makes the variance of the sum least.

A term may be read off every basis whose outcomes tell its sign, not only off the one that it was grouped into:
overlapped grouping (Wu et al., Quantum 7, 896 (2023)), or coefficient splitting with covariances (Yen, Ganeshram and
Izmaylov, npj Quantum Information 9, 14 (2023)). With a_tb as what basis b adds of term t, Σ_b a_tb = c_t leaves every
expectation value as it is, whatever the split.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from runner.engine.observables import ObservableTerms, highest_variances, letters_of

EQUAL = 20
"""One part in so many of the shots is shared out equally, whatever was learned; the variance rises by 5 % at most."""
PRIOR = 8
"""Shots for which a random state, in which terms neither lean nor go together, counts beside those that were taken.

With 1, terms that never failed to go together in a few shots would be trusted too much: measured variances of H4, LiH
and H2O were up to a quarter larger, and from 5 to 12 they differ by less than 3 %.
"""
_ROUNDS = 4
"""Rounds of split and shares; from the third on the variance changes by less than 1 %."""


class Readable(NamedTuple):
    """What the outcomes of one basis tell."""

    terms: NDArray
    """Numbers of the terms, ascending, (t,)."""
    masks: NDArray
    """Whose bits' parity is a term's sign, (t, qubits), booleans."""
    signs: NDArray
    """±1: the term's sign where that parity is even, (t,)."""


@dataclass(frozen=True)
class TermReading:
    """How the terms of one job are read."""

    weights: NDArray
    """What each basis adds of each term that it can read, (observables, read), basis after basis."""
    learns: bool = False
    """Tell how the next job should read them."""

    @cached_property
    def digest(self) -> bytes:
        """Of the weights' bits, and whether anything is learned."""
        return blake2b(self.weights.tobytes() + bytes([self.learns]), digest_size=16).digest()


class TermOverlaps:
    """The terms of observables, and the bases that can read each.

    Args:
        terms: of the observables.
        readable: what every basis tells; each term of theirs that acts is in one at least.
    """

    def __init__(self, terms: ObservableTerms, readable: Sequence[Readable]) -> None:
        self.readable = readable
        self._terms = terms
        self._ends = np.cumsum([len(basis.terms) for basis in readable])[:-1]

    @cached_property
    def key(self) -> bytes:
        """The same for the same observables in the same bases only."""
        digest = blake2b(self._terms.text().encode(), digest_size=16)
        for basis in self.readable:
            digest.update(basis.terms.astype(np.int64).tobytes() + b"|")
        return digest.digest()

    @cached_property
    def first(self) -> NDArray:
        """The weights of who has learned nothing, (observables, read): every basis that can adds as much of a term."""
        times = np.zeros(len(self._terms.labels))
        for basis in self.readable:
            times[basis.terms] += 1
        return np.concatenate(
            [self._terms.coefficients[:, basis.terms] / times[basis.terms] for basis in self.readable], axis=1
        )

    def by_basis(self, weights: NDArray) -> list[NDArray]:
        """Weights (observables, read) of each basis, (observables, t)."""
        return np.split(weights, self._ends, axis=1)

    def mean_variances(self, weights: NDArray) -> NDArray:
        """Variance of one shot of each basis in a random state, Σ a² of what it reads; (observables, bases)."""
        return np.stack([(part**2).sum(axis=1) for part in self.by_basis(weights)], axis=1)

    def highest_variances(self, weights: NDArray) -> NDArray:
        """The most that the variance of one shot of each basis can be; (observables, bases)."""
        return np.stack(
            [
                highest_variances(part * basis.signs, basis.masks)
                for part, basis in zip(self.by_basis(weights), self.readable, strict=True)
            ],
            axis=1,
        )

    def learned(self, covariances: Sequence[NDArray], shots: Sequence[int]) -> tuple[NDArray, NDArray]:
        """The weights that make the variance least, (observables, read), and that of one shot of each basis.

        For shares p of the shots, Σ_b a_bᵀ C_b a_b / p_b under Σ_b a_tb = c_t is least at a_b = p_b C_b⁻¹ λ, where
        (Σ_b p_b C_b⁻¹) λ = c: generalized least squares. For that split p_b ∝ √(a_bᵀ C_b a_b) is best, and so on.

        Args:
            covariances: of the terms that each basis reads, in one shot, (t, t) each.
            shots: from which they are known.
        """
        believed = [
            (taken * found + PRIOR * np.eye(len(found))) / (taken + PRIOR)
            for found, taken in zip(covariances, shots, strict=True)
        ]
        inverses = [np.linalg.inv(one) for one in believed]
        usual = self.mean_variances(self.first)
        shares = np.full(len(believed), 1 / len(believed))
        for _ in range(_ROUNDS):
            parts = self._split(inverses, shares)
            variances = np.stack(
                [
                    np.einsum("st,tu,su->s", part, one, part)
                    for part, one in zip(parts, believed, strict=True)
                ],
                axis=1,
            )
            equal = 1 / (EQUAL * len(believed))
            shares = equal + (1 - 1 / EQUAL) * shares_of(variances, usual)
        return np.concatenate(parts, axis=1), variances

    def _split(self, inverses: Sequence[NDArray], shares: NDArray) -> list[NDArray]:
        """The best weights of every basis, (observables, t), for shares of the shots."""
        coefficients = self._terms.coefficients
        whole = np.zeros((coefficients.shape[1],) * 2)
        for basis, inverse, share in zip(self.readable, inverses, shares, strict=True):
            whole[np.ix_(basis.terms, basis.terms)] += share * inverse
        read = np.flatnonzero(np.diag(whole))
        multipliers = np.zeros_like(coefficients)
        multipliers[:, read] = np.linalg.solve(whole[np.ix_(read, read)], coefficients[:, read].T).T
        parts = [
            share * multipliers[:, basis.terms] @ inverse
            for basis, inverse, share in zip(self.readable, inverses, shares, strict=True)
        ]
        return self._without_rounding(parts)

    def _without_rounding(self, parts: list[NDArray]) -> list[NDArray]:
        """The same, adding up to the coefficients to the last bits, so that no term counts more or less."""
        missing = np.array(self._terms.coefficients)
        times = np.zeros(missing.shape[1])
        for basis, part in zip(self.readable, parts, strict=True):
            missing[:, basis.terms] -= part
            times[basis.terms] += 1
        return [
            part + missing[:, basis.terms] / times[basis.terms]
            for basis, part in zip(self.readable, parts, strict=True)
        ]


def shares_of(variances: NDArray, usual: NDArray) -> NDArray:
    """Shares of the shots that make Σ variance / share least, (bases,).

    Args:
        variances: of one shot of each basis, (observables, bases).
        usual: the same in a random state: every observable counts by what it would spread there.
    """
    whole = usual.sum(axis=1, keepdims=True)
    spreads = np.sqrt((variances / np.where(whole > 0, whole, 1.0)).sum(axis=0))
    shares: NDArray = (spreads if spreads.any() else np.ones(len(spreads))) / (spreads.sum() or len(spreads))
    return shares


def readable_qubit_wise(terms: ObservableTerms, groups: Sequence[Sequence[int]]) -> list[Readable]:
    """What bases that measure every qubit by itself tell: all terms whose letters are those of the basis."""
    support = terms.support
    acting = support.any(axis=1)
    found = []
    for group in groups:
        letters = letters_of(terms, group)
        of_x = np.array([letters.get(q, "I") in "XY" for q in range(terms.num_qubits)])
        of_z = np.array([letters.get(q, "I") in "YZ" for q in range(terms.num_qubits)])
        other = (support & ((terms.x ^ of_x) | (terms.z ^ of_z))).any(axis=1)
        read = np.flatnonzero(acting & ~other)
        found.append(Readable(read, support[read], np.ones(len(read))))
    return found

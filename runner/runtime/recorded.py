"""Whether numbers that a journal holds as the result of a job are such as that job can give.

A checksum tells that a line is as it was written, not that it is true. Numbers of another shape would end somewhere in
the arithmetic of whoever asked, and impossible ones would be believed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from qiskit.primitives import BitArray

from runner.declare.checks import shorten
from runner.runtime.results import READING

if TYPE_CHECKING:
    from runner.engine import EstimatorPlan, SamplerPlan, TermReading
    from runner.engine.evolution import Moment
    from runner.runtime.results import Columns, Numbers
    from runner.runtime.submission import Pub

_ROUNDING = 1e-6
"""By which part a value may be beyond its bound, of which it is a sum."""


_FEW = 16
"""Up to so many numbers are looked at one by one, which takes less than a call of NumPy."""


class Bounds(NamedTuple):
    """What an array of a result is."""

    shape: tuple[int, ...]
    least: float | NDArray[Any]
    most: float | NDArray[Any]
    sides: list[tuple[float, float]] | None = None
    """Both of every number, where these are few."""

    @classmethod
    def of(cls, shape: tuple[int, ...], least: float | NDArray[Any], most: float | NDArray[Any]) -> Self:
        """With the sides of every number, where these are few."""
        if math.prod(shape) > _FEW:
            return cls(shape, least, most)
        low, high = (np.broadcast_to(side, shape).ravel().tolist() for side in (least, most))
        return cls(shape, least, most, list(zip(low, high, strict=True)))

    def hold(self, array: NDArray[Any], *, untold: bool) -> bool:
        """Whether they hold an array of this size; `untold`: values may be nan."""
        if self.sides is not None:
            values = zip(array.ravel().tolist(), self.sides, strict=True)
            return all(
                least <= value <= most or (untold and value != value) for value, (least, most) in values
            )
        within = (self.least <= array) & (array <= self.most)
        return bool((within | np.isnan(array) if untold else within).all())


class Expected(NamedTuple):
    """What a PUB of the Estimator gives."""

    arrays: Mapping[str, Bounds]
    shots: int | None
    """What is told of them; None: it is exact."""
    untold: bool = False
    """Values may be nan, and beyond their bounds."""


def expected_of(
    plan: EstimatorPlan | Moment,
    shape: tuple[int, ...],
    *,
    shots: int | None,
    by_basis: bool = False,
    reading: TermReading | None = None,
) -> Expected:
    """What a PUB gives where nothing is done against errors.

    Args:
        plan: of its circuit and observables.
        shape: of its values.
        shots: that it is measured with, by each basis where these have none of their own; None: it is exact.
        by_basis: each basis has shots of its own.
        reading: how its terms are read.
    """
    largest: NDArray[Any] = plan.largest
    if (
        reading is not None
    ):  # a term may be read as more of one sign in one basis, and of the other in another
        largest = largest + np.abs(reading.weights).sum(axis=1).reshape(plan.shape)
    most = largest * (1 + _ROUNDING) + _ROUNDING
    # what is left out of strings or states is not known to leave values within their bounds
    beyond = np.inf if plan.truncates(exact=shots is None) else most
    arrays = {"evs": Bounds.of(shape, -beyond, beyond), "stds": Bounds.of(shape, 0.0, 2 * beyond)}
    if by_basis:
        square = (
            most.reshape(-1, 1) ** 2
        )  # of one shot, whose values are within ± most; sampled, it may be twice that
        arrays["variances"] = Bounds.of((square.size, plan.num_bases), -_ROUNDING * square, 2 * square)
    if reading is not None and reading.learns:
        arrays[READING] = Bounds.of(reading.weights.shape, -np.finfo(float).max, np.finfo(float).max)
    return Expected(arrays, shots)


def slopes_of(plan: EstimatorPlan, shape: tuple[int, ...]) -> Expected:
    """What a PUB gives of which exact values and gradients are wanted."""
    most = plan.largest * (1 + _ROUNDING) + _ROUNDING
    far = np.finfo(float).max
    gradients = Bounds.of((*shape, plan.num_parameters), -far, far)
    return Expected({"evs": Bounds.of(shape, -most, most), "gradients": gradients}, shots=None)


def mitigated(shape: tuple[int, ...], shots: int | None) -> Expected:
    """What a PUB gives where something is done against errors: no value is impossible, and some may be nan."""
    arrays = {"evs": Bounds.of(shape, -np.inf, np.inf), "stds": Bounds.of(shape, 0.0, np.inf)}
    return Expected(arrays, shots, untold=True)


def misfit(found: Sequence[Numbers], expected: Sequence[Expected]) -> str | None:
    """What is wrong with the numbers of PUBs of the Estimator, in words; None: nothing."""
    if len(found) != len(expected):
        return f"it has numbers of {len(found)} PUBs, not of {len(expected)}"
    for numbers, (arrays, shots, untold) in zip(found, expected, strict=True):
        for name, bounds in arrays.items():
            array, shape = numbers.get(name), bounds.shape
            if type(array) is not np.ndarray or (array.shape != shape and array.size + math.prod(shape)):
                return f"{name} {_shaped(array)}, not {_dimensions(shape)}"
            if not bounds.hold(array, untold=untold):
                within = (bounds.least <= array) & (array <= bounds.most)
                return f"{name} holds {array[~within].flat[0]:g}, which cannot be"
        told = numbers.get("shots")
        if told != shots or type(told) is not type(shots):
            return f"shots are {shorten(str(told), 40)}, not {'untold' if shots is None else shots}"
    return None


def all_fit(found: Columns, expected: Sequence[Expected]) -> bool:
    """Whether `misfit` has nothing to say of any of several jobs whose numbers are all bounded in the same way."""
    if len(found) != len(expected):
        return False
    for columns, (arrays, shots, untold) in zip(found, expected, strict=True):
        for name, bounds in arrays.items():
            column = columns.get(name)
            if untold or type(column) is not np.ndarray or column.shape[1:] != bounds.shape:
                return False
            if not ((bounds.least <= column) & (column <= bounds.most)).all():
                return False
        told = columns.get("shots", [None])  # a list where all are whole numbers, or none
        if type(told) is not list or told.count(shots) != len(told):
            return False
    return True


def misfit_of_bits(
    found: Sequence[Numbers], pubs: Sequence[Pub[SamplerPlan]], drawn: Sequence[int]
) -> str | None:
    """What is wrong with the bits of PUBs of the Sampler that drew so many shots, in words; None: nothing."""
    if len(found) != len(pubs):
        return f"it has bits of {len(found)} PUBs, not of {len(pubs)}"
    for numbers, pub, shots in zip(found, pubs, drawn, strict=True):
        registers = {name: bits for name, bits in numbers.items() if isinstance(bits, BitArray)}
        if {name: bits.num_bits for name, bits in registers.items()} != pub.plan.registers:
            return "its registers are not those of the circuit"
        for name, bits in registers.items():
            if (bits.shape, bits.num_shots) != (pub.shape, shots):
                told = f"{bits.num_shots} shots in {_dimensions(bits.shape)}"
                return f"{name} has {told}, not {shots} in {_dimensions(pub.shape)}"
    return None


def _shaped(array: Any) -> str:
    return f"has {_dimensions(array.shape)}" if isinstance(array, np.ndarray) else "is no array"


def _dimensions(shape: tuple[int, ...]) -> str:
    return f"shape ({', '.join(map(str, shape))})"

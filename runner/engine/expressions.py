"""Circuit parameters turned into gate angles: analysed once, then evaluated without a `ParameterExpression`."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit import Parameter, ParameterExpression

_FUNCTIONS: dict[str, Callable] = {
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "exp": np.exp,
    "log": np.log,
    "abs": np.abs,
    "sign": np.sign,
}
CONSTANT = -1
"""What `Angles.symbols` calls the part that depends on nothing."""
_DENSE_ENTRIES = 1 << 16
_NODES = (ast.Expression, ast.BinOp, ast.UnaryOp, ast.Call, ast.Name, ast.Load, ast.Constant)
_OPERATORS = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Pow, ast.USub, ast.UAdd)


class Angles:
    r"""The angles of a circuit as functions of its parameters, `angle_k = \sum_j W_{kj} p_j + b_k` where linear.

    Args:
        parameters: the circuit's parameters, in the order values are given in.
        expressions: one number or `ParameterExpression` per angle.
    """

    def __init__(
        self, parameters: Sequence[Parameter], expressions: Sequence[ParameterExpression | float]
    ) -> None:
        self.size = len(expressions)
        self.num_parameters = len(parameters)
        position = {parameter: index for index, parameter in enumerate(parameters)}
        self.offsets = np.zeros(self.size)
        self._expressions = tuple(expressions)
        rows: list[int] = []
        columns: list[int] = []
        weights: list[float] = []
        self._nonlinear: list[tuple[int, Callable, list[tuple[int, Callable]]]] = []
        for row, expression in enumerate(expressions):
            if not isinstance(expression, ParameterExpression) or not expression.parameters:
                self.offsets[row] = float(expression)
                continue
            slopes = {p: _number(expression.gradient(p)) for p in expression.parameters}
            if all(slope is not None for slope in slopes.values()):
                self.offsets[row] = float(expression.bind_all(dict.fromkeys(expression.parameters, 0.0)))
                for parameter, slope in slopes.items():
                    rows.append(row)
                    columns.append(position[parameter])
                    weights.append(float(slope))  # type: ignore[arg-type]  # None was excluded above
            else:
                partials = [
                    (position[p], _compile(expression.gradient(p), position)) for p in expression.parameters
                ]
                self._nonlinear.append((row, _compile(expression, position), partials))
        self._rows = np.array(rows, dtype=np.int64)
        self._columns = np.array(columns, dtype=np.int64)
        self._weights = np.array(weights)
        self._matrix: NDArray | None = None
        if self.size * self.num_parameters <= _DENSE_ENTRIES:
            self._matrix = np.zeros((self.size, self.num_parameters))
            np.add.at(self._matrix, (self._rows, self._columns), self._weights)
        self.simple = not self._nonlinear and len(rows) == len(set(rows))
        """Every angle is `scale * parameter[index] + offset` of one parameter (or constant: scale 0)."""
        self.index = np.zeros(self.size, dtype=np.int64)
        self.scale = np.zeros(self.size)
        if self.simple:
            self.index[self._rows] = self._columns
            self.scale[self._rows] = self._weights
        self._bare = self.simple and bool((self.scale == 1).all()) and not self.offsets.any()
        self._same = self._bare and self.index.tolist() == list(range(self.num_parameters))

    @property
    def nonlinear(self) -> bool:
        """Is any angle anything but a sum of multiples of parameters?"""
        return bool(self._nonlinear)

    def symbols(self, row: int) -> dict[Any, float]:
        """Angle `row` as a sum: weights of parameters by their number, of `CONSTANT`, of a nonlinear expression."""
        if row in self._curved:
            return {str(self._expressions[row]): 1.0}
        found: dict[Any, float] = dict(self._sums.get(row, {}))
        if self.offsets[row]:
            found[CONSTANT] = float(self.offsets[row])
        return found

    @cached_property
    def _sums(self) -> dict[int, dict[int, float]]:
        sums: dict[int, dict[int, float]] = {}
        for row, column, weight in zip(self._rows, self._columns, self._weights, strict=True):
            sums.setdefault(int(row), {})[int(column)] = float(weight)
        return sums

    @cached_property
    def _curved(self) -> set[int]:
        return {row for row, _, _ in self._nonlinear}

    def __call__(self, values: NDArray) -> NDArray:
        """The angles, (B, K), of parameter sets (B, P)."""
        if not self.num_parameters:
            return np.broadcast_to(self.offsets, (len(values), self.size))
        if self._same:
            return values
        if self._bare:
            return values.take(self.index, axis=1)
        if self.simple:
            return values[:, self.index] * self.scale + self.offsets
        if self._matrix is not None:
            angles = each_times(values, self._matrix.T) + self.offsets
        else:
            angles = np.broadcast_to(self.offsets, (len(values), self.size)).copy()
            np.add.at(angles.T, self._rows, values[:, self._columns].T * self._weights[:, None])
        for row, function, _ in self._nonlinear:
            angles[:, row] = function(values.T)
        return angles

    def first_infinite(self, values: NDArray) -> int | None:
        """The first angle that is not finite at parameter sets (B, P); None where all of them are."""
        with np.errstate(all="ignore"):
            largest = float(np.abs(values).max(initial=0.0))
            if not self._nonlinear and math.isfinite(self.bound(largest)):
                return None
            finite = np.isfinite(self(values)).all(axis=0)
        return None if finite.all() else int(np.argmin(finite))

    def bound(self, largest: float) -> float:
        """What no angle that is linear exceeds by amount at parameters that do not exceed `largest`."""
        return self._steepness * largest + self._largest_offset

    @cached_property
    def _steepness(self) -> float:
        """The largest sum of weights, by amount, that an angle has."""
        sums = np.zeros(self.size)
        np.add.at(sums, self._rows, np.abs(self._weights))
        return float(sums.max(initial=0.0))

    @cached_property
    def _largest_offset(self) -> float:
        return float(np.abs(self.offsets).max(initial=0.0))

    def pull_back(self, values: NDArray, slopes: NDArray) -> NDArray:
        """Chain rule: derivatives by angle, (B, K), turned into derivatives by parameter, (B, P)."""
        if self._matrix is not None:
            result = each_times(slopes, self._matrix)
        else:
            result = np.zeros((len(values), self.num_parameters))
            np.add.at(result.T, self._columns, (slopes[:, self._rows] * self._weights).T)
        for row, _, partials in self._nonlinear:
            for column, function in partials:
                result[:, column] += slopes[:, row] * function(values.T)
        return result


def each_times(rows: NDArray, matrix: NDArray) -> NDArray:
    """`rows @ matrix`, row by row: all at once, a row would be rounded differently in batches of another size."""
    return np.stack([row @ matrix for row in rows]) if len(rows) > 1 else rows @ matrix


def _number(slope: object) -> float | None:
    """The slope as a number if it does not depend on any parameter."""
    if isinstance(slope, ParameterExpression):
        return None if slope.parameters else float(slope)
    return float(slope)  # type: ignore[arg-type]  # int or float, says qiskit


def _compile(
    expression: ParameterExpression | float, position: dict[Parameter, int]
) -> Callable[[NDArray], NDArray | float]:
    """A numpy function of the parameters (P, B) that gives what `bind_all` gives, checked against it."""
    if not isinstance(expression, ParameterExpression) or not expression.parameters:
        constant = float(expression)
        return lambda _values: constant
    plain = {parameter: Parameter(f"p{position[parameter]}") for parameter in expression.parameters}
    used = sorted(position[parameter] for parameter in expression.parameters)

    def slow(values: NDArray) -> NDArray:
        """Bind one set after the other."""
        columns = np.reshape(values, (len(values), -1))
        sets = [{p: float(column[position[p]]) for p in plain} for column in columns.T]
        return np.array([float(expression.bind_all(binding)) for binding in sets])

    try:
        tree = ast.parse(str(expression.subs(plain)), mode="eval")
    except SyntaxError:
        return slow
    if not all(isinstance(node, _NODES + _OPERATORS) for node in ast.walk(tree)):
        return slow
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    if names - {f"p{index}" for index in used} - set(_FUNCTIONS):
        return slow
    arguments = ", ".join(f"p{index}" for index in used)
    body = eval(  # only arithmetic and the functions above: every node was checked
        compile(ast.parse(f"lambda {arguments}: {ast.unparse(tree)}", mode="eval"), "<angle>", "eval"),
        {"__builtins__": {}, **_FUNCTIONS},
    )

    def fast(values: NDArray) -> NDArray | float:
        """The expression in numpy."""
        return body(*(values[index] for index in used))

    probe = np.zeros((max(used) + 1, 1))
    probe[used, 0] = [0.3 + 0.07 * k for k in range(len(used))]
    expected = slow(probe)[0]
    with np.errstate(all="ignore"):
        got = float(np.asarray(fast(probe)).ravel()[0])
    return fast if math.isclose(expected, got, rel_tol=1e-12, abs_tol=1e-12) else slow

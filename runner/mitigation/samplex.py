"""Draws of a samplex, the client's graph of random gates, node after node in one thread.

The library's own `Samplex.sample` starts a pool of threads for every draw and a task for every node, which takes longer
than the nodes do. What is drawn is the same to the last bit; `tests/mitigation/test_samplex.py` compares.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

_AT_ONCE = 1024
"""Randomizations that are evaluated together; more take memory and are no quicker."""


def sample_each(
    samplex: Any, inputs: Sequence[Any], randomizations: int, rng: np.random.Generator
) -> list[Mapping[str, NDArray[Any]]]:
    """Return what `samplex.sample(one, randomizations, rng)` does of each of the inputs, one after the other.

    Args:
        samplex: a finalized `Samplex` of samplomatic 0.21.
        inputs: all bound, at the same parameter values.
        randomizations: how many are drawn of each.
        rng: spawns a stream for every node.
    """
    step = max(1, _AT_ONCE // randomizations)
    found: list[Mapping[str, NDArray[Any]]] = []
    for start in range(0, len(inputs), step):
        own = inputs[start : start + step]
        drawn = _sampled(samplex, own, randomizations, rng)
        for place in range(len(own)):
            rows = slice(place * randomizations, (place + 1) * randomizations)
            found.append({name: values[rows] for name, values in drawn.items()})
    return found


def broadcast(
    samplex: Any, inputs: Any, shape: Sequence[int], rng: np.random.Generator
) -> dict[str, NDArray[Any]]:
    """Return what the client's `broadcast_sample` does: draws for every entry of an array of inputs.

    Args:
        samplex: as of `sample_each`.
        inputs: bound; axes along which they have entries are gone through, the others randomize.
        shape: of the result, (*axes,) before what an output has itself.
        rng: as of `sample_each`.
    """
    lengths = (1,) * (len(shape) - inputs.ndim) + tuple(inputs.shape)
    entries = [axis for axis, length in enumerate(lengths) if length > 1]
    random = [axis for axis, length in enumerate(lengths) if length <= 1]
    drawn: list[Mapping[str, NDArray[Any]]] = []
    chosen = (inputs[index] for index in np.ndindex(*inputs.shape))
    for _, several in groupby(chosen, lambda one: np.asarray(one.get("parameter_values", ())).tobytes()):
        drawn += sample_each(samplex, list(several), math.prod(shape[axis] for axis in random), rng)
    result = {}
    for name in drawn[0]:
        values = np.stack([one[name] for one in drawn])
        values = values.reshape(*(shape[axis] for axis in (*entries, *random)), *values.shape[2:])
        order = [*np.argsort([*entries, *random]), *range(len(shape), values.ndim)]
        result[name] = np.ascontiguousarray(values.transpose(order))
    return result


def _sampled(
    samplex: Any, inputs: Sequence[Any], randomizations: int, rng: np.random.Generator
) -> Mapping[str, NDArray[Any]]:
    """The same with the draws of all inputs one after the other along the first axis."""
    expressions = samplex._param_table.evaluate(inputs[0].get("parameter_values", []))
    found = _room(samplex, len(inputs) * randomizations)
    if samplex._passthrough_params:
        to, source = samplex._passthrough_params
        found["parameter_values"][:, to] = expressions[source]
    drawn = []
    for given in inputs:
        registers: dict[str, Any] = {}
        nodes = samplex._sampling_nodes
        for node, stream in zip(nodes, rng.spawn(len(nodes)), strict=True):
            node.sample(registers, stream, given, randomizations)
        drawn.append(registers)
        rng.spawn(
            len(samplex._collection_nodes)
        )  # the library's nodes that collect get streams, which they do not use
    registers = drawn[0] if len(drawn) == 1 else _joined(drawn, randomizations)
    for generation in samplex._evaluation_streams:
        for node in generation:
            node.evaluate(registers, expressions[node.parameter_idxs])
    for node in samplex._collection_nodes:
        node.collect(registers, found, rng)
    return found


def _room(samplex: Any, size: int) -> Any:
    """The samplex's outputs for so many randomizations, flips at 0."""
    found = samplex.outputs()
    for name, specification in samplex._output_specifications.items():
        if hasattr(specification, "dtype"):
            shape = [size if length == "num_randomizations" else length for length in specification.shape]
            flips = name.startswith("measurement_flips")
            found[name] = (np.zeros if flips else np.empty)(shape, dtype=specification.dtype)
    return found


def _joined(drawn: Sequence[Mapping[str, Any]], randomizations: int) -> dict[str, Any]:
    """Registers of several draws, whose gates are (subsystems, randomizations or 1, …), as those of one."""
    joined = {}
    for name, first in drawn[0].items():
        gates = [registers[name].virtual_gates for registers in drawn]
        whole = [np.repeat(one, randomizations // one.shape[1], axis=1) for one in gates]
        joined[name] = type(first)(np.concatenate(whole, axis=1))
    return joined

"""From numbers to the V2 containers and to plain, recordable values, and back."""

from __future__ import annotations

import base64
import itertools
import math
from array import array
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from runner.errors import NumericalError
from runner.lazy import np, primitives

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from qiskit import QuantumCircuit
    from qiskit.primitives import PrimitiveResult

    from runner.mitigation import SamplerSetting, Setting
    from runner.runtime.spans import ExecutionSpans

Numbers = dict[str, Any]
"""What one PUB gives, by name: `evs`, `stds` and `gradients` as arrays, `shots`; where every basis has shots of its own
the `variances` of one of them, (observables, bases); of a Sampler a BitArray for each register."""

DISCARDED, TRUNCATION, DISTANCE = "discarded weight", "truncation", "truncation distance"
"""What is told where something may be left out of states: the weight for each parameter set, by how much each
expectation value may be wrong for it, and by how much the probabilities of outcomes may be in all."""

READING, READING_VARIANCES = "reading", "reading_variances"
"""What was learned for later jobs, where it was asked for: the weights to read terms with, (observables, read), and the
variance of one shot of each basis as it is expected with them, (observables, bases)."""

UNTOLD = "untold"
"""What is told where no fit leads to a value: the first such term of each value."""

LEFT_OUT = {DISCARDED: "discarded_weight", TRUNCATION: "error", DISTANCE: "distance"}
"""The same in result.json."""

Nested = float | list["Nested"]

Plain = Mapping[str, Any]
"""The same as JSON has it: nested lists, numbers, and a BitArray as its bytes, bits and shape."""


_ZNE = (
    "evs_noise_factors",
    "stds_noise_factors",
    "ensemble_stds_noise_factors",
    "evs_extrapolated",
    "stds_extrapolated",
)
"""What a result has more where values were extrapolated to no noise."""


def _estimator_metadata(mitigation: Setting | None) -> dict[str, object]:
    """Return the page's metadata, with what was done against errors."""
    twirling: dict[str, object] = {
        "enable_gates": False,
        "enable_measure": False,
        "num_randomizations": "auto",
        "shots_per_randomization": "auto",
        "interleave_randomizations": True,
        "strategy": "active-accum",
    }
    resilience: dict[str, object] = {
        "measure_mitigation": False,
        "zne_mitigation": False,
        "pec_mitigation": False,
    }
    decoupling: dict[str, object] = {
        "enable": False,
        "sequence_type": "XX",
        "extra_slack_distribution": "middle",
        "scheduling_method": "alap",
    }
    if mitigation is not None:
        said = mitigation.as_dict()
        decoupling |= {
            name: value for name, value in said["dynamical_decoupling"].items() if name in decoupling
        }
        twirling |= {name: value for name, value in said["twirling"].items() if name in twirling}
        resilience |= {
            "measure_mitigation": mitigation.measure,
            "zne_mitigation": mitigation.zne,
            "pec_mitigation": mitigation.pec,
        }
        if mitigation.pec:
            resilience["pec"] = dict(said["resilience"]["pec"])
        if mitigation.zne:
            resilience["zne"] = {
                "noise_factors": mitigation.noise_factors.tolist(),
                "extrapolator": list(mitigation.extrapolators),
                "extrapolated_noise_factors": mitigation.extrapolated_noise_factors.tolist(),
            }
    return {
        "dynamical_decoupling": decoupling,
        "twirling": twirling,
        "resilience": resilience,
        "version": 2,
    }


def estimator_result(
    numbers: list[Numbers], asked: Sequence[tuple[QuantumCircuit, float]], mitigation: Setting | None = None
) -> PrimitiveResult:
    """Return what the page prints: evs, stds, ensemble_standard_error and the page's metadata.

    Args:
        numbers: The arrays of each PUB.
        asked: The circuit and the precision of each.
        mitigation: What was done against errors.
    """
    pubs = []
    for values, (circuit, precision) in zip(numbers, asked, strict=True):
        metadata = {
            "shots": _drawn(values, mitigation),
            "target_precision": precision,
            "circuit_metadata": dict(circuit.metadata or {}),
            "resilience": _resilience(values, mitigation),
            "num_randomizations": _randomizations(values, mitigation),
        }
        pooled = values.get("ensemble_standard_error", values["stds"])
        data = {"evs": values["evs"], "stds": values["stds"], "ensemble_standard_error": pooled}
        data |= {name: values[name] for name in _ZNE if name in values}
        if "variances" in values:
            metadata["variances_by_basis"] = values["variances"]
        told = (DISCARDED, TRUNCATION, READING, READING_VARIANCES)
        metadata |= {name: values[name] for name in told if name in values}
        pubs.append(
            primitives.PubResult(primitives.DataBin(**data, shape=values["evs"].shape), metadata=metadata)
        )
    return primitives.PrimitiveResult(pubs, metadata=_estimator_metadata(mitigation))


def _drawn(values: Numbers, mitigation: Setting | None) -> int | None:
    """Return the shots per basis; cancelling noise draws more than it was asked for."""
    if mitigation is None or "randomizations" not in values:
        return values["shots"]  # type: ignore[no-any-return]
    return _randomizations(values, mitigation) * mitigation.split(values["shots"])[1]


def _randomizations(values: Numbers, mitigation: Setting | None) -> int:
    """Return how many circuits the shots were divided over; cancelling noise takes more."""
    if "randomizations" in values:
        return int(values["randomizations"])
    return 1 if mitigation is None else mitigation.split(values["shots"])[0]


def _resilience(values: Numbers, mitigation: Setting | None) -> dict[str, object]:
    """Return which fit each value was taken from, or what cancelling noise takes and leaves."""
    if "sampling_overhead" in values:
        return {"pec": {name: float(values[name]) for name in ("sampling_overhead", "noise_gain")}}
    if mitigation is None or "extrapolators" not in values:
        return {}
    names = np.array([*mitigation.extrapolators, "multiple"])  # the last one is number −1
    told: dict[str, object] = {"extrapolator": np.asarray(names[values["extrapolators"].astype(int)])}
    if UNTOLD in values:
        told[UNTOLD] = _untold(np.asarray(values[UNTOLD]), mitigation)
    return {"zne": told}


def _untold(letters: NDArray[Any], mitigation: Setting) -> list[str]:
    """Return a sentence on every term whose value no fit tells, (…, qubits) of 0, 1, 2, 3 for I, Z, X, Y."""
    factors = ", ".join(f"{factor:g}" for factor in mitigation.noise_factors)
    words = dict.fromkeys(
        " ".join(f"{'IZXY'[int(letter)]}{qubit}" for qubit, letter in enumerate(row) if letter)
        for row in letters.reshape(-1, letters.shape[-1])
    )
    return [
        f"{' or '.join(mitigation.extrapolators)} through ⟨{term}⟩ at noise × {factors} leads to no value between "
        "−2 and 2 with a standard error below 1; take more shots, or add fallback to zne.extrapolator"
        for term in words
        if term
    ]


def require_told(result: PrimitiveResult) -> None:
    """Refuse values that no fit tells, which are nan.

    Raises:
        NumericalError: there is one.
    """
    for pub in result:
        if found := (pub.metadata.get("resilience") or {}).get("zne", {}).get(UNTOLD):
            raise NumericalError(found[0])


def gradient_result(numbers: list[Numbers], circuits: list[QuantumCircuit]) -> PrimitiveResult:
    """Return exact values and gradients; a local extension."""
    pubs = [
        primitives.PubResult(
            primitives.DataBin(evs=values["evs"], gradients=values["gradients"], shape=values["evs"].shape),
            metadata={"target_precision": 0.0, "circuit_metadata": dict(circuit.metadata or {})},
        )
        for values, circuit in zip(numbers, circuits, strict=True)
    ]
    return primitives.PrimitiveResult(pubs, metadata={"version": 2})


def sampler_result(
    numbers: list[Numbers],
    circuits: list[QuantumCircuit],
    spans: ExecutionSpans | None,
    mitigation: SamplerSetting | None = None,
) -> PrimitiveResult:
    """Return one `BitArray` per classical register, when they were taken, and what was done against errors.

    Args:
        numbers: The registers of each PUB.
        circuits: Their circuits.
        spans: When what was taken.
        mitigation: What was done; its shots come in whole randomizations.
    """
    pubs = []
    for registers, circuit in zip(numbers, circuits, strict=True):
        lost = {name: value for name, value in registers.items() if name in (DISCARDED, DISTANCE)}
        registers = {name: value for name, value in registers.items() if name not in lost}
        shape = next(iter(registers.values())).shape if registers else ()
        metadata: dict[str, object] = {"circuit_metadata": dict(circuit.metadata or {}), **lost}
        if mitigation is not None and mitigation.twirls and registers:
            shots = next(iter(registers.values())).num_shots
            metadata["num_randomizations"] = mitigation.split(shots)[0]
        pubs.append(
            primitives.SamplerPubResult(primitives.DataBin(**registers, shape=shape), metadata=metadata)
        )
    done: dict[str, object] = {} if mitigation is None else mitigation.as_dict()
    return primitives.PrimitiveResult(
        pubs, metadata={"execution": {"execution_spans": spans}, "version": 2, **done}
    )


def to_plain(numbers: Numbers) -> dict[str, object]:
    """Return the numbers of one PUB as plain values that survive JSON to the last bit."""
    # an array is asked for first: whether something is a BitArray takes ten times as long
    return {
        name: value.tolist() if isinstance(value, np.ndarray) else _plain(value)
        for name, value in numbers.items()
    }


def _plain(value: object) -> object:
    if value is None or type(value) is int:
        return value
    if isinstance(value, primitives.BitArray):
        text = base64.b64encode(np.ascontiguousarray(value.array).tobytes()).decode()
        return {"array": text, "bits": value.num_bits, "shape": list(value.array.shape)}
    return value


def from_plain(numbers: Plain) -> Numbers:
    """Return the numbers of one PUB from what `to_plain` made of them."""
    return {name: _restored(value) for name, value in numbers.items()}


_FLOATS = frozenset((float,))
_LISTS = frozenset((list,))
_WHOLE = frozenset((int, type(None)))
DEEPEST = 3
"""Axes of an array, of values or of what bases and terms have, with that of several jobs before."""


def _restored(value: object) -> object:
    if isinstance(value, dict):
        array = np.frombuffer(base64.b64decode(value["array"]), dtype=np.uint8).reshape(value["shape"])
        return primitives.BitArray(array.copy(), value["bits"])
    if type(value) is float or (
        isinstance(value, list) and _FLOATS.issuperset(map(type, value))
    ):  # the usual ones
        return np.array(value)
    if isinstance(value, list | float | str):
        return np.array(_numbers(value), dtype=float)
    return value


def arrays_of(numbers: Plain) -> Numbers | None:
    """Return what `from_plain` does where all of it is numbers, lists and tables of floats, as is most; else None."""
    found: Numbers = {}
    for name, value in numbers.items():
        kind = type(value)
        if kind is float or (kind is list and (_FLOATS.issuperset(map(type, value)) or _is_table(value))):
            found[name] = np.array(value)
        elif value is None or kind is int:
            found[name] = value
        else:
            return None
    return found


Columns = list[dict[str, Any]]
"""The numbers of several jobs, of each PUB by name: an array for all, the jobs along its first axis, or a list."""


def columns_of(results: Sequence[Sequence[Plain]]) -> Columns | None:
    """Return what `arrays_of` does for every PUB of jobs whose numbers are of one form; else None.

    For many jobs at a time this takes half of what it takes one by one.
    """
    found: Columns = [{} for _ in results[0]]
    if not found or set(map(len, results)) != {len(found)}:
        return None
    for place, column in enumerate(found):
        rows = [result[place] for result in results]
        names = rows[0].keys()
        if any(row.keys() != names for row in rows):
            return None
        for name in names:
            values = _column([row[name] for row in rows])
            if values is None:
                return None
            column[name] = values
    return found


def _column(values: list[Any]) -> Any:
    """The array of values that are floats, or lists or tables of floats of one shape; the list of whole numbers."""
    kinds = set(map(type, values))
    if kinds <= _WHOLE:
        return values
    shape, entries = [len(values)], values
    while kinds == _LISTS:
        lengths = set(map(len, entries))
        entries = list(itertools.chain.from_iterable(entries))
        kinds = set(map(type, entries))
        shape.append(lengths.pop())
        if lengths or len(shape) > DEEPEST:
            return None
    return np.frombuffer(array("d", entries)).reshape(shape) if kinds == _FLOATS else None


def numbers_of(results: Sequence[Sequence[Plain]]) -> list[list[Numbers] | None]:
    """Return what `arrays_of` does for every PUB of jobs, one list for each; None where it gives none for a PUB."""
    columns = columns_of(results) if results else None
    if columns is None:
        return [arrays_of_each(result) for result in results]
    parts = [
        [dict(zip(part, row, strict=True)) for row in zip(*map(_rows, part.values()), strict=True)]
        for part in columns
        if part
    ]
    if len(parts) < len(columns):
        return [arrays_of_each(result) for result in results]
    return list(map(list, zip(*parts, strict=True)))


def arrays_of_each(result: Sequence[Plain]) -> list[Numbers] | None:
    """Return what `arrays_of` does for every PUB of a job; None where it gives none for one."""
    found = []
    for one in result:
        numbers = arrays_of(one)
        if numbers is None:
            return None
        found.append(numbers)
    return found


def _rows(column: Any) -> list[Any]:
    """The entries of a column, each array aligned as if it were alone: BLAS may add up others in another order."""
    if type(column) is list or column.ndim == 1:
        return list(column)
    shape, width = column.shape[1:], math.prod(column.shape[1:])
    apart = np.empty((len(column), width + width % 2))[:, :width]
    apart[:] = column.reshape(len(column), width)
    rows = list(apart)
    return rows if len(shape) == 1 else [row.reshape(shape) for row in rows]


def _is_table(rows: Sequence[Any]) -> bool:
    """Whether these are lists of as many floats each."""
    return (
        _LISTS.issuperset(map(type, rows))
        and len(set(map(len, rows))) == 1
        and _FLOATS.issuperset(map(type, itertools.chain.from_iterable(rows)))
    )


def _numbers(value: Nested | str) -> Nested:
    if isinstance(value, list):
        return [_numbers(item) for item in value]
    return float(value)


def executions(shots: int, shape: tuple[int, ...], bases: int) -> int:
    """Return shots × parameter sets × measurement bases."""
    return shots * math.prod(shape) * max(1, bases)

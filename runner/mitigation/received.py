"""What a service sends back of the client-side Estimator's program: its raw bits become values as the engine's do."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit.quantum_info import PauliList

from runner.engine.observables import ObservableTerms, pauli_terms
from runner.errors import RuntimeSessionError
from runner.mitigation import client
from runner.mitigation.client import Setting
from runner.mitigation.decoding import Layout, decode, samples
from runner.mitigation.fitting import fit
from runner.mitigation.noise import labels_of
from runner.mitigation.plan import Rates, among_all, asked, layout_of, letters_of, misread, packed


def decoded(result: Any) -> list[dict[str, Any]]:
    """The numbers of each PUB: those of `MitigatedPlan.run`, and `shots`.

    Everything that is needed is in the result itself, so that a job found again gives the same numbers.

    Args:
        result: a `QuantumProgramResult` of the client-side Estimator's program.

    Raises:
        RuntimeSessionError: it is none, or of a kind that is not read here.
    """
    try:
        told = result.passthrough_data
        asked, tasks = told["post_processor"], told["qiskit_mitigation"]
        chosen = client.completed(asked["options"])
    except (KeyError, TypeError, AttributeError) as error:
        raise RuntimeSessionError(f"the service's result is not an Estimator's ({error!r})") from error
    rates = None
    pubs = []
    for task in tasks:
        if task["mitigation"] == "trex":
            rates = _rates(_bits(result[task["program_item_index"]]))
        elif task["mitigation"] in (None, "gate_folding"):
            pubs.append(task)
        else:
            raise RuntimeSessionError(f"results mitigated by {task['mitigation']} are not read here")
    return [{**_pub(result, task, chosen, rates), "shots": int(asked["shots"])} for task in pubs]


def _bits(item: Mapping[str, NDArray]) -> NDArray:
    """What was read with the twirling undone, (R, configurations, shots, qubits) or (R, shots, qubits)."""
    bits: NDArray = item["_meas"]
    return bits ^ item["measurement_flips._meas"] if "measurement_flips._meas" in item else bits


def _rates(bits: NDArray) -> Rates:
    """How often each qubit is misread, from circuits that leave all of them 0."""
    flat = bits.reshape(len(bits), -1, bits.shape[-1])
    each = flat.mean(axis=1).T  # (qubits, R)
    return misread(tuple(range(bits.shape[-1])), each, flat.shape[1])


def _pub(result: Any, task: Mapping[str, Any], chosen: Setting, rates: Rates | None) -> dict[str, NDArray]:
    terms = pauli_terms(task["observables"])
    qubits = np.flatnonzero(terms.support.any(axis=0))
    letters = letters_of(terms)[:, qubits]
    layout = _layout(task, terms, qubits, letters)
    first = task["program_item_index"]
    places = range(first, first + (len(chosen.noise_factors) if chosen.zne else 1))
    masks = packed(letters != 0)
    found, shots = [], 0
    for place in places:
        outcomes = packed(_bits(result[place])[..., qubits])
        shots = outcomes.shape[0] * outcomes.shape[2]
        found.append(samples(outcomes, layout, masks))
    read = None if rates is None else rates.read(layout, qubits.tolist())
    extrapolate = partial(fit, labels_of(letters[layout.terms]), chosen) if chosen.zne else None
    points = (len(chosen.extrapolators), len(chosen.extrapolated_noise_factors))
    numbers = decode(found, shots, layout, read, points, extrapolate)
    if "untold" in numbers:
        numbers["untold"] = among_all(numbers["untold"], qubits.tolist(), terms.num_qubits)
    return numbers


def _layout(task: Mapping[str, Any], terms: ObservableTerms, qubits: NDArray, letters: NDArray) -> Layout:
    """Which configurations were measured, and which terms are read of each: of the first that tells one."""
    batch = tuple(task["param_shape"] or ())
    shape, coefficients, wanted = asked(terms, batch)
    missing = {
        number: set(np.flatnonzero(coefficients[places].any(axis=0)).tolist())
        for number, places in wanted.items()
    }
    configurations: list[tuple[int, list[int]]] = []
    bases: list[NDArray] = []
    for index, label in task["param_basis_pairs"]:
        number = int(np.ravel_multi_index(tuple(index), batch)) if batch else 0
        basis = _basis(label, qubits)
        told = [term for term in sorted(missing[number]) if _told(letters[term], basis)]
        missing[number] -= set(told)
        configurations.append((number, told))
        bases.append(basis)
    identity: NDArray = np.logical_not(letters.any(axis=1))
    if left := [number for number, rest in missing.items() if not identity[sorted(rest)].all()]:
        raise RuntimeSessionError(f"the service's result lacks bases of parameter set {left[0]}")
    return layout_of(configurations, wanted, coefficients, identity, letters, shape)


def _basis(label: str, qubits: NDArray) -> NDArray:
    """0, 1, 2, 3 for I, Z, X, Y of these qubits in a Pauli word."""
    pauli = PauliList([label])
    return (2 * pauli.x[0] + pauli.z[0])[qubits]


def _told(term: NDArray, basis: NDArray) -> bool:
    """Whether a basis tells a term: every letter is the basis's or I."""
    return bool(((term == basis) | (term == 0)).all())

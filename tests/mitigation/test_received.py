"""Raw bits of a service become what the client's own decoder makes of them, with honest standard errors."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from qiskit.quantum_info import SparsePauliOp

from runner.errors import RuntimeSessionError
from runner.mitigation import client
from runner.mitigation.received import decoded
from tests.mitigation.devices import circuit

OBSERVABLES = [
    [SparsePauliOp(["ZZ", "XX", "II", "YZ"], [1.0, 0.5, 0.2, 0.3])],
    [SparsePauliOp(["XY", "ZI"], [1.0, -0.5])],
]


def sent_back(options: dict[str, Any], pubs: list[Any]) -> Any:
    """A result of the client's program whose bits are 1 with probability 0.1."""
    from qiskit_ibm_runtime.results.quantum_program import (
        ItemMetadata,
        QuantumProgramItemResult,
        QuantumProgramResult,
    )

    parts, rng = client._client(), np.random.default_rng(3)
    program, _ = parts.prepare(pubs, parts.EstimatorOptions(default_shots=256, **options))
    items = []
    for item in program.items:
        shape = (*item.shape, program.shots, item.circuit.num_qubits)
        arrays = {"_meas": rng.random(shape) < 0.1}
        if options.get("resilience_level"):
            arrays["measurement_flips._meas"] = rng.random((*item.shape, 1, shape[-1])) < 0.5
            arrays["_meas"] ^= arrays["measurement_flips._meas"]
        items.append(QuantumProgramItemResult(arrays, metadata=ItemMetadata()))
    return QuantumProgramResult(data=items, passthrough_data=program.passthrough_data)


@pytest.mark.filterwarnings("ignore:No positive")
@pytest.mark.parametrize(
    "options",
    [
        {"resilience_level": 0},
        {"resilience_level": 1},
        {"resilience_level": 2},
        {
            "resilience_level": 2,
            "resilience": {"zne": {"noise_factors": [1, 2, 3], "extrapolator": ["linear"]}},
        },
    ],
    ids=str,
)
def test_values_are_what_the_clients_decoder_makes_of_the_same_bits(options: dict[str, Any]) -> None:
    """To the last rounding, for arrays of observables and parameter sets and several PUBs."""
    from qiskit_ibm_runtime.decoders.executor_estimator.post_processor_v0_1 import (
        estimator_v2_post_processor_v0_1,
    )

    pubs = [(circuit(), OBSERVABLES, [[0.3], [1.0], [2.0]]), (circuit(), OBSERVABLES[0][0], [1.0])]
    result = sent_back(options, pubs)
    expected = estimator_v2_post_processor_v0_1(result)

    for found, known in zip(decoded(result), expected, strict=True):
        np.testing.assert_allclose(found["evs"], known.data.evs, rtol=1e-9, atol=1e-12)
        zne = "evs_noise_factors" in known.data
        for name in (
            ("evs_noise_factors", "ensemble_stds_noise_factors") if zne else ("ensemble_standard_error",)
        ):
            np.testing.assert_allclose(found[name], known.data[name], rtol=1e-9)
        assert found["shots"] == 256
        assert found["stds"].shape == found["evs"].shape
        assert np.all(found["stds"] > 0)


def test_raw_values_are_means_of_parities() -> None:
    """⟨ZZ⟩ and ⟨XX⟩ by counting in the bits themselves; a spread of shots, which are one sample each here."""
    result = sent_back({"resilience_level": 0}, [(circuit(), [["ZZ"], ["ZI"]], [[0.3]])])
    (found,) = decoded(result)
    bits = result[0]["_meas"][0, 0]
    signs = 1 - 2 * np.stack([bits.sum(axis=1) % 2, bits[:, 1]]).astype(float)

    np.testing.assert_allclose(found["raw"][:, 0], signs.mean(axis=1))
    np.testing.assert_allclose(found["evs"], found["raw"])
    np.testing.assert_allclose(found["stds"][:, 0], signs.std(axis=1, ddof=1) / np.sqrt(len(bits)))


def test_what_is_no_result_of_the_estimator_is_refused() -> None:
    """One line instead of numbers."""
    with pytest.raises(RuntimeSessionError, match="is not an Estimator's"):
        decoded(SimpleNamespace(passthrough_data={"post_processor": {}}))

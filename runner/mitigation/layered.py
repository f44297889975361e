"""Learned noise of layers put into circuits, in the place of a simulated device's own."""

from __future__ import annotations

from collections.abc import Sequence

from qiskit.circuit import QuantumCircuit

from runner.declare.checks import shorten
from runner.engine.lindblad import LayerNoiseModel, PauliLindblad
from runner.errors import ConfigError
from runner.mitigation import client
from runner.mitigation.noise import Layer, LayerNoise, NoiseOfLayers, read_noise
from runner.mitigation.plan import on_qubits

KEY = "backend.layer_noise_model"


def layer_noise_model(source: str, device: str) -> LayerNoiseModel:
    """What a run has learned of a device's layers, for circuits to be simulated with.

    Args:
        source: `run:ID` or `file:PATH`.
        device: name of the device that the circuits are for.

    Raises:
        ConfigError: there is no such model, it is of another device, or a rate is below zero.
    """
    try:
        found = read_noise(source)
    except ConfigError as error:
        raise ConfigError(f"{source} {error}", key=KEY) from error
    if not found.known:
        raise ConfigError(f"{source} has no layers; learn some", key=KEY)
    if others := {one.device for one in found.known.values()} - {device}:
        raise ConfigError(
            f"{source} is of {min(others)}, and the backend is {device}; take a model of {device}, or that backend",
            key=KEY,
        )
    return LayerNoiseModel(source, found.text, lambda circuit: with_noise(circuit, found, source))


def with_noise(circuit: QuantumCircuit, known: NoiseOfLayers, source: str) -> QuantumCircuit:
    """A circuit with the noise of every layer of two-qubit gates after it; the layers are those that the client finds.

    Args:
        circuit: on the device's qubits, without measurements.
        known: the noise.
        source: where that is from, for refusals.

    Raises:
        ConfigError: of a layer nothing is known, or a gate belongs to none.
    """
    used = sorted(
        {
            circuit.find_bit(bit).index
            for item in circuit.data
            if item.name != "barrier"
            for bit in item.qubits
        }
    )
    if not any(len(item.qubits) > 1 and item.name != "barrier" for item in circuit.data):
        return circuit
    chosen = client.learner_setting({"twirling_strategy": "active-circuit"})
    result = circuit.copy_empty_like()
    for gates, number, layer in client.in_layers(on_qubits(circuit, used), chosen, used):
        for item in gates:
            places = [number[bit] for bit in item.qubits]
            if item.name in ("barrier", "measure"):
                continue  # it measures in the end, whatever it is given
            if layer is None and len(places) > 1:
                raise ConfigError(
                    f"the circuit has {item.name} on qubits {_listed(places)} in no layer that the client knows; write "
                    "it as two-qubit gates of the device",
                    key=KEY,
                )
            result._append(item.operation, [result.qubits[place] for place in places], ())
        if layer is not None:
            noise = _noise_of(layer, known, source)
            result.append(PauliLindblad(noise.generators, noise.rates), noise.layer.qubits)
    return result


def _noise_of(layer: Layer, known: NoiseOfLayers, source: str) -> LayerNoise:
    """What is known of a layer, of these or more qubits: on others that the model has, the circuit does nothing.

    Raises:
        ConfigError: nothing, or nothing of some of its qubits.
    """
    alike = sorted(one for one in known.known if one.gates == layer.gates)
    for one in sorted(alike, key=lambda one: len(one.qubits)):
        if set(layer.qubits) <= set(one.qubits):
            return known.known[one]
    if alike:
        missing = min((sorted(set(layer.qubits) - set(one.qubits)) for one in alike), key=len)
        raise ConfigError(
            f"{source} says nothing of qubits {_listed(missing)}, which wait during the layer {layer.text}; learn it "
            "with them (estimator.twirling.strategy=active-circuit)",
            key=KEY,
        )
    has = shorten("; ".join(sorted(one.text for one in known.known)), 200)
    raise ConfigError(
        f"{source} has no noise of the layer {layer.text} (on qubits {_listed(layer.qubits)}), but of {has}; "
        "learn it with a circuit that has this layer",
        key=KEY,
    )


_FEW = 12


def _listed(qubits: Sequence[int]) -> str:
    """Numbers, in words: the first of many."""
    told = ", ".join(map(str, qubits[:_FEW]))
    return told if len(qubits) <= _FEW else f"{told}, … ({len(qubits)})"

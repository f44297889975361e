"""Whether an optimizer suits the declared estimator and the circuits whose energies it is to follow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runner import engine
from runner.errors import ConfigError

if TYPE_CHECKING:
    from qiskit import QuantumCircuit

    from runner.declare.config import RunConfig
    from runner.optimizer import OptimizerConfig


def check_optimizer(optimizer: OptimizerConfig, config: RunConfig, *circuits: QuantumCircuit) -> None:
    """Refuse an optimizer that does not fit the declared estimator, or energies in these circuits.

    Raises:
        ConfigError: naming the setting or the parameter, and what to type instead.
    """
    check_differences(optimizer, config.gradient, sampled=config.estimator.precision != 0)
    check_circuits(optimizer, *circuits)


def check_differences(optimizer: Any, gradient: str, *, sampled: bool) -> None:
    """Refuse to differentiate noise: energies with a standard error σ, h apart, give a slope with σ/(√2 h).

    Raises:
        ConfigError: naming what can be done instead.
    """
    if not optimizer.uses_gradient:
        return
    if optimizer.uses_hessian and (sampled or gradient == "spsa"):
        why = "the estimator samples" if sampled else "gradient=spsa draws them at random"
        raise ConfigError(
            f"{optimizer.name} takes differences of gradients, and {why}; "
            f"use {'estimator=exact, or adam' if sampled else 'gradient=parameter_shift'}",
            key="optimizer",
        )
    if sampled and gradient == "none":
        step = optimizer.difference_step
        raise ConfigError(
            f"none takes differences over {step:g} rad, which make {1 / (2**0.5 * step):.0f} σ of a standard error σ; "
            "use gradient=parameter_shift, or cobyla",
            key="gradient",
        )


def check_circuits(optimizer: OptimizerConfig, *circuits: QuantumCircuit) -> None:
    """Refuse an optimizer that does not fit the parameters of these circuits, or how energies depend on them.

    Raises:
        ConfigError: naming the setting or the parameter, and what to type instead.
    """
    for circuit in circuits:
        optimizer.check(circuit.num_parameters)
        if optimizer.uses_fidelity and (words := engine.classify(circuit).in_words):
            raise ConfigError(
                f"{optimizer.name} measures overlaps of states, and this circuit {words}; take a unitary one, or spsa",
                key="optimizer",
            )
        if optimizer.uses_frequencies:
            optimizer.check_frequencies(common_frequencies(circuit), list(engine.names_of(circuit)))


def most_evaluations(config: RunConfig, circuit: QuantumCircuit | None = None, times: int = 1) -> int | None:
    """Energies that so many minimizations by the declared optimizer evaluate at most; None where nothing limits them.

    Args:
        config: the declaration.
        circuit: of the energy; None: it changes.
        times: how many there are.
    """
    optimizer = config.optimizer
    waves = common_frequencies(circuit) if optimizer.uses_frequencies and circuit is not None else None
    most = optimizer.most_evaluations(waves)
    return None if most is None else times * most


def common_frequencies(*circuits: QuantumCircuit) -> list[tuple[float, ...] | None]:
    """For each parameter, in order, the positive frequencies [1/rad] of expectation values in any of the circuits.

    None where they cannot be known; see `runner.engine.frequencies`.
    """
    found = zip(*(engine.classify(circuit).frequencies.values() for circuit in circuits), strict=True)
    return [
        None if None in sets else tuple(sorted({value for own in sets if own for value in own}))
        for sets in found
    ]

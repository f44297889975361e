"""The kicked Ising model on a whole device, exact, noisy and mitigated (Kim et al., Nature 618, 500 (2023))."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from runner import engine
from runner.declare.checks import require_choice, require_integer, require_number
from runner.display.words import counted
from runner.errors import ConfigError, NumericalError
from runner.run.experiment import Experiment
from runner.run.mitigation import declared
from runner.run.problem import fit
from runner.run.results import Outcome

if TYPE_CHECKING:
    import numpy as np
    from qiskit import QuantumCircuit
    from qiskit.quantum_info import SparsePauliOp
    from qiskit.transpiler import Target

    from runner.declare.config import RunConfig
    from runner.run.context import Lab
    from runner.run.objective import JobStream
    from runner.run.problem import Problem
    from runner.services.protocol import Backend

WEIGHT_10 = "X13 X29 X31 Y9 Y30 Z8 Z12 Z17 Z28 Z32"
WEIGHT_17 = "X37 X41 X52 X56 X57 X58 X62 X79 Y75 Z38 Z40 Z42 Z63 Z72 Z80 Z90 Z91"
WEIGHT_17_KICKED = "X37 X41 X52 X56 X57 X58 X62 X79 Y38 Y40 Y42 Y63 Y72 Y80 Y90 Y91 Z75"
PUBLISHED = {"weight_10": WEIGHT_10, "weight_17": WEIGHT_17, "weight_17_kicked": WEIGHT_17_KICKED}
"""The stabilizers at θ = π/2 after five steps that the publication looks at, by its numbers of qubits; the last one
after a sixth kick."""
EXTRAPOLATORS = ("exponential", "linear")
PAIRS = ("working", "all")
LAYERS = ("free", "aligned")
BROKEN = 0.75
"""Error of a two-qubit gate above which its noise is more than complete depolarization."""
AMPLIFIERS = ("pea", "folding")
READOUTS = ("trex", "none")
ROUNDING = 1e-14
"""Below it a value is told as 0."""
SAME = 1e-6
"""Bound on what a reference has left out up to which it is called exact."""
USEFUL = 0.1
"""Such a bound, of Σ|c|, above which a reference says nothing and is not printed."""
MAX_DEPTH = 60


@dataclass(frozen=True)
class KickedCircuits:
    """What is run, and what it should give."""

    circuits: list[QuantumCircuit]
    """The ISA circuit at every noise gain; its parameter is θ."""
    observables: list[SparsePauliOp]
    """What is measured, in their layout: every string of the declared ones once, or these themselves."""
    parts: list[dict[int, float]]
    """Of each declared observable, the coefficients of those that add up to it."""
    calibration: QuantumCircuit | None
    """The circuit of no gates that tells how faithfully qubits are read; None where misreading is left as it is."""
    angles: list[float]
    """θ of every point [rad]."""
    reference: engine.Propagated
    """Gives noiseless values of every string."""
    strings: list[dict[int, float]]
    """Of each declared observable, the coefficients of these."""
    products: engine.ProductStates | None
    """Gives them again, from matrix product states; None where nobody asked."""
    stabilizer: dict[int, np.ndarray]
    """Point at which the circuit is Clifford → the values of its stabilizer state, (observables,)."""
    simulation: str | None
    """How the noisy circuit is simulated, in words."""


@dataclass(frozen=True)
class KickedLayers:
    """What noise is learned of."""

    circuit: QuantumCircuit
    """The ISA circuit; its parameter is θ."""
    observable: SparsePauliOp
    """The first one, in its layout."""


@dataclass(kw_only=True)
class KickedIsing(Experiment):
    """⟨O⟩ after `depth` steps of exp(iπ/4 Σ ZZ) exp(−iθ/2 Σ X) on all qubits of a device, θ = 0 … π/2."""

    name: str = "kicked_ising"
    """Name of the experiment."""
    depth: int = 5
    """Steps: a kick about X of every qubit, then ZZ of every coupled pair."""
    last_kick: bool = False
    """One more kick after the last step, as the publication's second circuit for a weight of 17 has it."""
    points: int = 5
    """Angles θ from 0 to π/2, equally spaced."""
    observables: list[str] = field(default_factory=lambda: ["magnetization", "Z62"])
    """magnetization (Σ Z/n) | weight_10 | weight_17 | weight_17_kicked (the publication's, of 127 qubits, the last one
    with last_kick) | letters and qubits: X3 Z4."""
    amplifier: str = "pea"
    """pea: the noise of every gate and wait (needs backend.engine=pauli) | folding: two-qubit gates, drawn at random,
    are done, undone and done again."""
    pairs: str = "working"
    """working: coupled pairs whose gate the calibration does not give up (an error above 3/4) | all."""
    layers: str = "free"
    """free: gates are carried out as soon as they can be | aligned: barriers keep the layers of ZZ apart, so that the
    device has as many kinds of layers as colours of couplings (three in heavy hexagons), whose noise can be learned."""
    only_learns: bool = False
    """One job learns the noise of the layers, as estimator=pea or pec says how, and nothing else is done."""
    noise_gains: list[float] = field(default_factory=lambda: [1.0, 1.3, 1.6])
    """By how much noise is amplified; values are extrapolated to none. [1]: nothing is done against noise of gates."""
    readout: str = "trex"
    """trex: values are divided by what a first job of no gates gives for the same qubits, which needs
    backend.engine=pauli | none: misreading stays."""
    extrapolator: str = "exponential"
    """exponential (linear, where values change their sign or are within their errors of 0) | linear."""
    reference_terms: int = 1_000_000
    """Pauli strings that the noiseless reference keeps."""
    reference_threshold: float = 1e-6
    """Coefficients below this are left out of it."""
    mps_bond_dimension: int | None = None
    """A second reference, from matrix product states of the observable's light cone with so many singular values at a
    cut; null: none."""

    needs_problem: ClassVar[bool] = False
    states_jump: ClassVar[bool] = True
    ignores: ClassVar[tuple[str, ...]] = ("hamiltonian", "ansatz", "optimizer", "gradient")

    def __post_init__(self) -> None:
        require_integer("experiment.depth", self.depth, 1, MAX_DEPTH)
        require_integer("experiment.points", self.points, 1, 1000)
        require_integer("experiment.reference_terms", self.reference_terms, 1, 10**9)
        require_number("experiment.reference_threshold", self.reference_threshold)
        if not 0 <= self.reference_threshold <= 1:
            raise ConfigError(
                f"must be from 0 to 1, got {self.reference_threshold}; change it",
                key="experiment.reference_threshold",
            )
        if self.mps_bond_dimension is not None:
            require_integer("experiment.mps_bond_dimension", self.mps_bond_dimension, 1, 1 << 12)
        require_choice("experiment.extrapolator", self.extrapolator, EXTRAPOLATORS)
        require_choice("experiment.pairs", self.pairs, PAIRS)
        require_choice("experiment.layers", self.layers, LAYERS)
        require_choice("experiment.amplifier", self.amplifier, AMPLIFIERS)
        require_choice("experiment.readout", self.readout, READOUTS)
        if not self.observables or len(set(self.observables)) < len(self.observables):
            raise ConfigError("must name some, each once; change them", key="experiment.observables")
        for index, name in enumerate(self.observables):
            letters(name, f"experiment.observables[{index}]")
        gains = self.noise_gains
        for gain in gains:
            require_number("experiment.noise_gains", gain)
        if not gains or gains[0] != 1 or sorted(set(gains)) != list(gains):
            raise ConfigError(
                f"must rise from 1, got {gains}; write e.g. [1, 1.5, 2]", key="experiment.noise_gains"
            )

    @property
    def angles(self) -> list[float]:
        """θ of every point [rad]."""
        if self.points == 1:
            return [math.pi / 2]
        return [math.pi / 2 * point / (self.points - 1) for point in range(self.points)]

    def quantity(self, prepared: KickedCircuits | KickedLayers, problem: Problem | None) -> str | None:  # noqa: ARG002
        """Those of observables; none where noise is learned alone."""
        return "expectation value" if isinstance(prepared, KickedCircuits) else None

    def magnitude(self, prepared: KickedCircuits | KickedLayers, problem: Problem | None) -> float:  # noqa: ARG002
        """Pauli words, and means of them, are 1 at most."""
        return 1.0

    def prepare(
        self, config: RunConfig, backend: Backend, problem: Problem | None
    ) -> KickedCircuits | KickedLayers:
        """The circuits, and what they should give.

        Raises:
            ConfigError: the backend couples nothing, is too small for an observable, or cannot be simulated.
        """
        del problem
        if not self.only_learns:
            self._require_engine(config, backend)
        from qiskit.circuit import QuantumCircuit

        couplings = coupled(backend, working=self.pairs == "working")
        size = backend.target.num_qubits
        sums = [self._observable(index, name, size) for index, name in enumerate(self.observables)]
        plain = kicked(size, couplings, self.depth, last_kick=self.last_kick)
        aligned = self.layers == "aligned"
        fitted = fit(
            kicked(size, couplings, self.depth, aligned=aligned, last_kick=self.last_kick), backend, config
        )
        if self.only_learns:
            return self._layers(config, fitted, sums[0])
        exact = config.estimator.precision == 0
        # shots of the strings of a sum are not independent, so that only the sum knows its spread
        strings, coefficients = strings_of(sums)
        asked, parts = (strings, coefficients) if exact else (sums, [{i: 1.0} for i in range(len(sums))])
        observables = [one.apply_layout(fitted.layout) if fitted.layout else one for one in asked]
        circuits = [
            engine.amplified(fitted, gain) if self.amplifier == "pea" else folded(fitted, gain, config.seed)
            for gain in self.noise_gains
        ]
        words = None
        if backend.planner is not None:
            plans = [backend.planner.estimator_plan(circuit, observables) for circuit in circuits]
            for plan in plans:
                plan.require(exact=exact)
            words = plans[0].simulation(None if exact else config.estimator.options["default_shots"])
        reference = engine.Propagated.of(plain, strings, self.reference_terms, self.reference_threshold)
        stabilizer = {
            point: stabilizer_values(size, couplings, self.depth, kicks, sums, last_kick=self.last_kick)
            for point, angle in enumerate(self.angles)
            if (kicks := clifford(angle)) is not None
        }
        products = None
        if self.mps_bond_dimension is not None:
            products = engine.ProductStates.of(plain, sums, self.mps_bond_dimension)
        return KickedCircuits(
            circuits,
            observables,
            parts,
            QuantumCircuit(fitted.num_qubits) if self.readout == "trex" else None,
            self.angles,
            reference,
            coefficients,
            products,
            stabilizer,
            words,
        )

    def _layers(self, config: RunConfig, fitted: QuantumCircuit, observable: SparsePauliOp) -> KickedLayers:
        """What noise is learned of.

        Raises:
            ConfigError: it is not declared how, or that something is known already.
        """
        chosen = declared(config.estimator.mitigation)
        if chosen is None or not chosen.needs_noise:
            raise ConfigError(
                "learns as estimator=pea or pec says, and this one learns nothing; add estimator=pea",
                key="experiment.only_learns",
            )
        if chosen.strategy != "active-circuit":
            raise ConfigError(
                f"learns of the qubits that {chosen.strategy} says, and simulations need all that wait; add "
                "estimator.twirling.strategy=active-circuit",
                key="experiment.only_learns",
            )
        if config.backend.engine == "pauli":
            raise ConfigError(
                "pauli has no samples, from which noise is learned; take auto", key="backend.engine"
            )
        if chosen.model is not None:
            raise ConfigError("is to be learned here; leave it out", key="estimator.layer_noise_model")
        return KickedLayers(fitted, observable.apply_layout(fitted.layout) if fitted.layout else observable)

    def _require_engine(self, config: RunConfig, backend: Backend) -> None:
        """Refuse what only a simulation by Pauli strings does.

        Raises:
            ConfigError: something else is to be done.
        """
        if backend.planner is not None and config.backend.engine == "pauli":
            return
        if self.amplifier == "pea" and len(self.noise_gains) > 1:
            raise ConfigError(
                "pea needs backend.engine=pauli, which amplifies the noise that it simulates; take that, or folding",
                key="experiment.amplifier",
            )
        if self.readout == "trex":
            raise ConfigError(
                "trex needs backend.engine=pauli, which twirls misreading; take that, or none",
                key="experiment.readout",
            )

    def simulation(self, prepared: KickedCircuits | KickedLayers) -> str | None:
        """As the backend says of its noisy circuit; of learning there is nothing to say."""
        return None if isinstance(prepared, KickedLayers) else prepared.simulation

    def mitigates(self, prepared: KickedCircuits | KickedLayers) -> str | None:
        """Nothing is done against the noise that is only learned."""
        return "none: noise is learned and nothing else done" if isinstance(prepared, KickedLayers) else None

    def _learned(self, lab: Lab, prepared: KickedLayers) -> Outcome:
        """One job; a row for every layer."""
        pub = (prepared.circuit, prepared.observable, [0.0])
        for number, found in enumerate(lab.stream("kicked_ising").learn_noise(pub)):
            gates = [item.name for item in found.circuit.data]
            strength = sum(rate for rate in found.error.rates.tolist() if rate > 0)
            lab.row(
                layer=number, gates=len(gates), qubits=len(found.qubits), generators=len(found.error.rates),
                gamma=math.exp(2 * strength),
            )  # fmt: skip
        return Outcome(energy=None, stop_reason="noise of layers learned", table=lab.table)

    def _observable(self, index: int, name: str, size: int) -> SparsePauliOp:
        from qiskit.quantum_info import SparsePauliOp

        if name == "magnetization":
            return SparsePauliOp.from_sparse_list([("Z", [qubit], 1 / size) for qubit in range(size)], size)
        found = letters(name, f"experiment.observables[{index}]")
        if max(found) >= size:
            raise ConfigError(
                f"{name} looks at qubit {max(found)}, and the backend has {size}; take backend=device "
                "backend.device=fake_kyiv, or other observables",
                key=f"experiment.observables[{index}]",
            )
        return SparsePauliOp.from_sparse_list([("".join(found.values()), list(found), 1.0)], size)

    def run(self, lab: Lab) -> Outcome:
        """One job for misreading and one per angle, at all gains; a row has each observable and what it should be."""
        if isinstance(lab.prepared, KickedLayers):
            return self._learned(lab, lab.prepared)
        kicks: KickedCircuits = lab.prepared
        stream = lab.stream("kicked_ising")
        observables, unsure = kicks.observables, [0.0] * len(kicks.observables)
        if kicks.calibration is not None:
            observables, unsure = corrected(stream, kicks.calibration, observables)
        points = list(enumerate(kicks.angles))
        if lab.trying:  # strings branch most at π/4, and not at all at 0
            points.sort(key=lambda point: -math.sin(2 * point[1]))
        for point, angle in points:
            pubs = [(circuit, observables, [angle]) for circuit in kicks.circuits]
            found = stream.estimate(*pubs)
            values = [[float(value) for value in part.data.evs] for part in found]
            errors = [[float(std) for std in part.data.stds] for part in found]
            bounds = [left_out_of(part) for part in found]
            if lab.rehearsing:
                continue
            (reference,), (left_out,) = kicks.reference.values([[angle]])
            known = [
                Extrapolated(float(value), float(lost), "none")
                for value, lost in zip(reference, left_out, strict=True)
            ]
            at_none = [
                extrapolated(
                    self.noise_gains,
                    [one[place] for one in values],
                    [one[place] for one in errors],
                    [one[place] for one in bounds],
                    self.extrapolator,
                )
                for place in range(len(observables))
            ]
            noisy = [
                Extrapolated(value, error + bound, "none")
                for value, error, bound in zip(values[0], errors[0], bounds[0], strict=True)
            ]
            again = None if kicks.products is None else kicks.products.values([angle])
            row: dict[str, Any] = {"theta": angle}
            for place, (name, parts) in enumerate(zip(self.observables, kicks.parts, strict=True)):
                answer = added(parts, at_none, unsure)
                row |= {name: answer.value, f"{name} stddev": answer.spread}
                if len(values) > 1:
                    raw = added(parts, noisy, unsure)
                    row |= {f"{name} noisy": raw.value, f"{name} noisy stddev": raw.spread}
                    row[f"{name} fit"] = answer.fit
                own = kicks.strings[place]
                should, largest = added(own, known), sum(map(abs, own.values()))
                row |= told_of(name, should.value, should.spread, largest)
                if again is not None:
                    row |= told_of(f"{name} mps", again.values[place], again.bounds[place], largest)
                    row[f"{name} mps discarded"] = again.discarded[place]
                if point in kicks.stabilizer:
                    row[f"{name} stabilizer"] = float(kicks.stabilizer[point][place])
            lab.row(**{column: unrounded(value) for column, value in row.items()})
        return Outcome(
            energy=None,
            stop_reason=f"{counted(len(kicks.angles), 'angle')} at {counted(len(self.noise_gains), 'noise gain')}",
            table=lab.table,
        )


def unrounded(value: Any) -> Any:
    """A number of a row; 0 where it is no more than what sums of numbers up to 1 are rounded by."""
    return 0.0 if isinstance(value, float) and abs(value) < ROUNDING else value


def told_of(name: str, value: float, lost: float, largest: float) -> dict[str, float]:
    """Columns of a noiseless value: what it is, unless the bound on what it left out is too much to say anything."""
    kind = "exact" if lost <= SAME else "reference"
    return {**({} if lost > USEFUL * largest else {f"{name} {kind}": value}), f"{name} truncation": lost}


def strings_of(observables: Sequence[SparsePauliOp]) -> tuple[list[SparsePauliOp], list[dict[int, float]]]:
    """Every string of some sums once, with the coefficient 1, and each sum's coefficients by their places."""
    from qiskit.quantum_info import SparsePauliOp

    places: dict[str, int] = {}
    parts = [
        {places.setdefault(label, len(places)): float(weight.real) for label, weight in one.to_list()}
        for one in observables
    ]
    return [SparsePauliOp(label) for label in places], parts


def left_out_of(part: Any) -> list[float]:
    """Bounds on what the simulation of a job left out of each value; 0 where that is nothing."""
    lost = part.metadata.get("truncation")
    return [0.0] * len(part.data.evs) if lost is None else [float(one) for one in lost]


def letters(name: str, key: str) -> dict[int, str]:
    """Qubit → letter of a Pauli string in words; of the magnetization, none.

    Raises:
        ConfigError: it is no such word, or names a qubit twice.
    """
    if name == "magnetization":
        return {}
    words = PUBLISHED.get(name, name).split()
    if not words or not all(re.fullmatch(r"[XYZ]\d{1,4}", word) for word in words):
        raise ConfigError(
            f"{name!r} is no observable; write magnetization, weight_10, weight_17, weight_17_kicked, or letters with "
            "qubits as 'X3 Z4'",
            key=key,
        )
    found = {int(word[1:]): word[0] for word in words}
    if len(found) < len(words):
        raise ConfigError(f"{name!r} names a qubit twice; change it", key=key)
    return found


def coupled(backend: Backend, *, working: bool = False) -> list[list[tuple[int, int]]]:
    """The coupled pairs of a device, in layers in which each qubit is in one pair at most.

    Args:
        backend: the device.
        working: leave out those whose gate its calibration gives up.

    Raises:
        ConfigError: it couples all pairs, or none.
    """
    import rustworkx

    coupling = backend.target.build_coupling_map()
    if coupling is None:
        raise ConfigError(
            "couples every pair, and the model lives on a device's own couplings; take backend=device "
            "backend.device=fake_kyiv, or backend=generic backend.topology=heavy_hex",
            key="backend",
        )
    pairs = sorted({(min(pair), max(pair)) for pair in coupling.get_edges()})
    graph = rustworkx.PyGraph()
    graph.add_nodes_from(range(coupling.size()))
    graph.add_edges_from_no_data(pairs)
    # a bipartite graph needs no more colours than a qubit has neighbours, others one more at most
    if rustworkx.is_bipartite(graph):
        colours = rustworkx.graph_bipartite_edge_color(graph)
    else:
        colours = rustworkx.graph_misra_gries_edge_color(graph)
    ends = graph.edge_list()
    layers: dict[int, list[tuple[int, int]]] = {}
    for number, colour in sorted(colours.items()):
        first, second = sorted(ends[number])
        # those left out have a colour, too: without them the colouring may need one more
        if not (working and broken(backend.target, (first, second))):
            layers.setdefault(colour, []).append((first, second))
    return [sorted(layers[colour]) for colour in sorted(layers)]


def broken(target: Target, pair: tuple[int, int]) -> bool:
    """Does the calibration give up every gate between two qubits?"""
    known = [
        target[name][qubits]
        for name in target.operation_names
        for qubits in (pair, pair[::-1])
        if target[name] is not None and qubits in target[name]
    ]
    return bool(known) and all(
        gate is not None and gate.error is not None and gate.error > BROKEN for gate in known
    )


def kicked(
    size: int,
    couplings: Sequence[Sequence[tuple[int, int]]],
    depth: int,
    kicks: int | None = None,
    *,
    aligned: bool = False,
    last_kick: bool = False,
) -> QuantumCircuit:
    """The circuit, with the parameter θ; with so many quarter turns in its place, of Clifford gates.

    exp(iπ/4 ZZ) is a CZ and two S†, up to a phase. With `aligned` barriers keep the layers apart, and with `last_kick`
    one more kick comes after the last step.
    """
    from qiskit.circuit import Parameter, QuantumCircuit

    circuit = QuantumCircuit(size)
    theta = Parameter("θ")
    for step in range(depth + last_kick):
        if kicks is None:
            circuit.rx(theta, range(size))
        for _ in range(kicks or 0):
            circuit.sx(range(size))
        for layer in couplings if step < depth else ():
            for first, second in layer:
                circuit.cz(first, second)
                circuit.sdg([first, second])
            if aligned:
                circuit.barrier()
    return circuit


def clifford(angle: float) -> int | None:
    """How many quarter turns an angle is; None where it is between."""
    turns = angle / (math.pi / 2)
    return round(turns) & 3 if abs(turns - round(turns)) < 1e-12 else None


def stabilizer_values(
    size: int,
    couplings: Sequence[Sequence[tuple[int, int]]],
    depth: int,
    kicks: int,
    observables: Sequence[SparsePauliOp],
    *,
    last_kick: bool = False,
) -> np.ndarray:
    """⟨O⟩ of the stabilizer state where θ is so many quarter turns, by Qiskit's tableau; (observables,)."""
    import numpy as np
    from qiskit.quantum_info import StabilizerState

    state = StabilizerState(kicked(size, couplings, depth, kicks, last_kick=last_kick))
    return np.array([float(np.real(state.expectation_value(one))) for one in observables])


def folded(circuit: QuantumCircuit, gain: float, seed: int) -> QuantumCircuit:
    """The circuit with so many two-qubit gates done, undone and done again that their noise is `gain` times as much.

    Which ones is drawn from the seed, anew for every gain.

    Raises:
        ConfigError: a two-qubit gate is not its own inverse.
    """
    import numpy as np

    gates = [number for number, item in enumerate(circuit.data) if len(item.qubits) == 2]
    whole, part = divmod((gain - 1) / 2, 1)
    rng = np.random.default_rng([seed, round(1e6 * gain)])
    more = set(rng.choice(gates, size=round(part * len(gates)), replace=False).tolist()) if gates else set()
    result = circuit.copy_empty_like()
    for number, item in enumerate(circuit.data):
        result._append(item)
        if len(item.qubits) != 2 or item.operation.name == "barrier":
            continue
        if gain > 1 and item.operation.name not in ("ecr", "cx", "cz"):
            raise ConfigError(
                f"folding needs ecr, cx or cz, and the circuit has {item.operation.name}; write [1]",
                key="experiment.noise_gains",
            )
        for _ in range(2 * (int(whole) + (number in more))):
            result._append(item)
    result._layout = circuit.layout
    return result


def corrected(
    stream: JobStream, calibration: QuantumCircuit, observables: Sequence[SparsePauliOp]
) -> tuple[list[SparsePauliOp], list[float]]:
    """The observables with what misreading takes from each string given back, and how sure that is, relatively.

    One job without gates measures Z of every string's qubits, which would be 1: what it gives is the factor by which
    twirled misreading shrinks the string (TREX: van den Berg, Minev & Temme 2022).

    Raises:
        NumericalError: nothing of a string is left.
    """
    import numpy as np
    from qiskit.quantum_info import SparsePauliOp

    acted = [
        [tuple(np.flatnonzero(x | z).tolist()) for x, z in zip(one.paulis.x, one.paulis.z, strict=True)]
        for one in observables
    ]
    supports = sorted({support for own in acted for support in own} - {()})
    size = calibration.num_qubits
    asked = [SparsePauliOp.from_sparse_list([("Z" * len(s), list(s), 1.0)], size) for s in supports]
    (found,) = stream.estimate((calibration, asked))
    factors = dict(zip(supports, found.data.evs.tolist(), strict=True))
    errors = dict(zip(supports, found.data.stds.tolist(), strict=True))
    if any(factor == 0 for factor in factors.values()):
        raise NumericalError("some qubits are misread as often as not; take other observables or more shots")
    result, unsure = [], []
    for one, own in zip(observables, acted, strict=True):
        shrunk = np.array([factors.get(support, 1.0) for support in own])
        result.append(SparsePauliOp(one.paulis, one.coeffs / shrunk))
        unsure.append(max(abs(errors.get(support, 0.0) / factors.get(support, 1.0)) for support in own))
    return result, unsure


@dataclass(frozen=True)
class Extrapolated:
    """A value at no noise."""

    value: float
    """As the fit says."""
    spread: float
    """What it may be off by: its standard error, what the fit may be off by, and on top what simulations left out."""
    fit: str
    """none | linear | exponential | both, of sums."""


def added(
    parts: Mapping[int, float], found: Sequence[Extrapolated], unsure: Sequence[float] | None = None
) -> Extrapolated:
    """A sum of what was found, each to be off by its spread, all in the same direction, and by its calibration.

    Args:
        parts: place → coefficient.
        found: values and their spreads.
        unsure: relative standard errors of what misreading was corrected by; None: it was not.
    """
    value = sum(weight * found[place].value for place, weight in parts.items())
    spread = sum(
        abs(weight) * math.hypot(found[place].spread, found[place].value * (unsure[place] if unsure else 0.0))
        for place, weight in parts.items()
    )
    fits = {found[place].fit for place in parts}
    return Extrapolated(value, spread, fits.pop() if len(fits) == 1 else "both")


def extrapolated(
    gains: Sequence[float],
    values: Sequence[float],
    errors: Sequence[float],
    bounds: Sequence[float],
    extrapolator: str,
) -> Extrapolated:
    """A value at no noise, by least squares.

    The fit is taken to be off by twice the most that the next orders would change, up to the third. Two points have no
    next order, and nothing in them tells how good a fit is: there it is all that the fit has changed of the first
    value, or twice what exponential and line are apart, if that is more.

    Args:
        gains: noise factors, rising from 1.
        values: measured at each.
        errors: their standard errors.
        bounds: on what was left out of each.
        extrapolator: exponential | linear.
    """
    import numpy as np

    seen, spreads, lost = np.array(values), np.array(errors), np.array(bounds)
    if len(seen) == 1:
        return Extrapolated(float(seen[0]), float(spreads[0] + lost[0]), "none")
    decays = extrapolator == "exponential" and bool(
        (seen[0] * seen > 0).all() and (np.abs(seen) > spreads + lost).all()
    )
    scale = np.abs(seen) if decays else np.ones_like(seen)
    points = np.log(scale) if decays else seen
    at_none = []
    for order in range(1, min(len(gains), 4)):
        solve = np.linalg.pinv(np.vander(gains, order + 1, increasing=True))[0]
        at_none.append((float(solve @ points), solve))
    found = [math.copysign(math.exp(one), seen[0]) if decays else one for one, _ in at_none]
    solve = at_none[0][1]
    unit = abs(found[0]) if decays else 1.0
    error = unit * math.sqrt(float(solve**2 @ (spreads / scale) ** 2))
    # the orders after them are smaller, and may add up to as much
    others = [2 * abs(other - found[0]) for other in found[1:]]
    if not others:
        others = [abs(found[0] - float(seen[0])), 2 * abs(float(solve @ seen) - found[0]) if decays else 0.0]
    truncated = unit * float(np.abs(solve) @ (lost / scale))
    return Extrapolated(
        found[0], math.hypot(error, max(others)) + truncated, "exponential" if decays else "linear"
    )

"""The transpiler is put together from qiskit's own stages unless a backend asks for another."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from qiskit.circuit.library import efficient_su2
from qiskit.providers.fake_provider import GenericBackendV2
from qiskit.transpiler import generate_preset_pass_manager
from qiskit.transpiler.preset_passmanagers.plugin import PassManagerStagePluginManager

from runner import compose
from runner.errors import ConfigError
from runner.run.preflight import Preparation
from runner.run.transpiler import own_stages, pass_manager


def translations() -> set[str]:
    """The translation stages that qiskit sees at this moment."""
    return set(PassManagerStagePluginManager().translation_plugins.names())


class TestOwnStages:
    """own_stages"""

    def test_it_hides_other_packages_stages_for_a_while(self) -> None:
        """The Runtime client's stages are there before and after, and not loaded in between."""
        pytest.importorskip("qiskit_ibm_runtime")
        before = translations()
        with own_stages(GenericBackendV2(2, seed=1)):
            assert translations() == {"default", "synthesis", "translator"}
        assert translations() == before
        assert "ibm_backend" in before

    def test_a_backend_that_names_a_stage_gets_it(self) -> None:
        """A backend with a translation of its own, as IBM's have, sees every stage."""
        backend = GenericBackendV2(2, seed=1)
        backend.get_translation_stage_plugin = lambda: "synthesis"
        before = translations()
        with own_stages(backend):
            assert translations() == before


@pytest.mark.parametrize("level", [0, 1, 2, 3])
def test_the_isa_circuit_is_the_one_of_qiskits_preset(level: int) -> None:
    """pass_manager makes, gate by gate, what generate_preset_pass_manager makes."""
    backend, circuit = GenericBackendV2(5, seed=1), efficient_su2(4, reps=1).decompose()
    preset = generate_preset_pass_manager(optimization_level=level, backend=backend, seed_transpiler=7)
    assert pass_manager(backend, level, 7).run(circuit) == preset.run(circuit)


def test_installed_packages_are_searched_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second run of a process reads no package's metadata to put its passes together."""
    backend = GenericBackendV2(2, seed=1)
    pass_manager(backend, 1, 7)
    monkeypatch.setattr("importlib.metadata.Distribution.discover", None)
    monkeypatch.setattr("importlib.metadata.Distribution.from_name", None)

    assert pass_manager(backend, 1, 7).run(efficient_su2(2, reps=1)).num_qubits == 2


def test_a_delay_off_the_devices_clock_is_told_with_the_nearest_that_are_on_it(tmp_path: Path) -> None:
    """15 µs of 2/9 ns each are 67 500 = 16 · 4218.75, by pencil; 16 · 4218 and 16 · 4219 are next to it."""
    near = r"67500 dt, .* multiples of 16 dt; make it 67488 dt \(14\.997\d+ us\) or 67504 dt \((15\.000\d+) us\)$"

    def prepared(*typed: str) -> Preparation:
        device = ("experiment=estimation", "experiment.observables=[Z]", "backend=fake_manila")
        return Preparation(compose(*device, "estimator=level0", "tracking=off", *typed))

    with pytest.raises(ConfigError, match=near) as caught:
        prepared("ansatz.gates=[[h,0],[delay,15,0],[h,0]]")
    (told,) = re.findall(near, str(caught.value))
    prepared(f"ansatz.gates=[[h,0],[delay,{told},0],[h,0]]")
    for length in (67500, 67504):
        path = tmp_path / f"{length}.qasm"
        path.write_text(
            f'OPENQASM 3.0; include "stdgates.inc"; qubit[1] q; h q[0]; delay[{length}dt] q[0]; h q[0];'
        )
    with pytest.raises(ConfigError, match=near):
        prepared("ansatz=file", f"ansatz.path={tmp_path}/67500.qasm")
    prepared("ansatz=file", f"ansatz.path={tmp_path}/67504.qasm")

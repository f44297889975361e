"""What a declared Hamiltonian answers before it is built: above all, what its energies are in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pytest

from runner.declare.composer import compose
from runner.hamiltonian import SCHEMAS, HamiltonianConfig, OperatorFile, unit_of
from runner.hamiltonian.declared import adopted
from runner.record.events import RunStarted
from runner.record.journal import read_journal

ROOT = Path(__file__).parents[1]

PLUGIN = '''
from dataclasses import dataclass
from runner.hamiltonian import HamiltonianConfig


@dataclass(kw_only=True)
class Well(HamiltonianConfig):
    """Two levels."""

    energy_unit = "eV"
    depth: float = 2.0
    """Half of what is between the levels."""

    def build(self):
        from qiskit.quantum_info import SparsePauliOp

        return SparsePauliOp(["Z"], [self.depth])


@dataclass(kw_only=True)
class Plain:
    """As a plug-in may have it that derives from nothing."""

    name: str
    reference_energy: float | None = -2.5
    """A bound."""

    def build(self):
        return Well(name="well").build()


SCHEMAS = {"hamiltonian": {"well": Well, "plain": Plain}}
'''


@pytest.mark.parametrize(
    ("declared", "unit"),
    [
        (("hamiltonian=h2",), "Ha"),
        (("hamiltonian=hydrogen",), "Ha"),
        (("hamiltonian=tfim",), "J"),
        (("hamiltonian=tfim", "hamiltonian.coupling=2"), None),
        (("hamiltonian=heisenberg",), "J"),
        (("hamiltonian=hubbard",), "t"),
        (("hamiltonian=hubbard", "hamiltonian.hopping=0.5"), None),
        (("hamiltonian=maxcut",), None),
        (("hamiltonian=two_qubit",), None),
    ],
)
def test_a_hamiltonian_says_what_its_energies_are_in(declared: tuple[str, ...], unit: str | None) -> None:
    """Integrals of molecules are in Hartree; a lattice's numbers are multiples of J or t only where that is 1."""
    assert compose(*declared).hamiltonian.energy_unit == unit


@pytest.mark.parametrize(
    ("written", "unit"),
    [("Hartree", "Ha"), ("a.u.", "Ha"), ("kcal/mol", "kcal/mol"), ("angstrom", None), (None, None)],
)
def test_a_file_says_what_its_numbers_are_in(written: str | None, unit: str | None, tmp_path: Path) -> None:
    """Known once it was read; a unit of lengths is none of energies."""
    content = {"terms": [["Z", 1.0]], **({} if written is None else {"units": written})}
    (tmp_path / "h.json").write_text(json.dumps(content), encoding="utf-8")
    declared = OperatorFile(name="file", path=str(tmp_path / "h.json"))
    assert declared.energy_unit is None

    declared.build()

    assert declared.energy_unit == unit


@pytest.mark.parametrize(
    ("started", "unit"),
    [
        ({"energy_unit": "eV", "schemas": {"hamiltonian": "well"}}, "eV"),
        ({"schemas": {"hamiltonian": "molecule"}}, "Ha"),
        ({"schemas": {"hamiltonian": "tfim"}}, None),
        ({"schemas": {"hamiltonian": "of somebody else"}}, None),
        ({}, None),
    ],
)
def test_a_recorded_run_says_it_too(started: dict[str, Any], unit: str | None) -> None:
    """What was written counts; of earlier releases, which wrote none, molecules are known."""
    assert unit_of(RunStarted.read({"schemas": {}, **started})) == unit


def test_all_hamiltonians_of_the_house_have_the_base() -> None:
    """So nobody has to ask whether an attribute is there."""
    assert all(issubclass(schema, HamiltonianConfig) for schema in SCHEMAS.values())


def test_a_plug_ins_plain_dataclass_answers_everything() -> None:
    """Its own fields and values stay; what it does not know is None."""

    @dataclass(frozen=True)
    class Foreign:
        """Of somebody else."""

        name: str
        reference_energy: float = -1.0

        def build(self) -> str:
            """A stand-in."""
            return "built"

    found = adopted(Foreign)(name="foreign")

    assert [item.name for item in fields(found)] == ["name", "reference_energy"]
    assert (found.reference_energy, found.energy_unit, found.reading) == (-1.0, None, None)
    assert str(found.build()) == "built"
    assert adopted(HamiltonianConfig) is HamiltonianConfig


def test_a_plug_ins_unit_is_printed_recorded_and_drawn(tmp_path: Path) -> None:
    """The ground state of 2 Z is −2 by hand; a plain dataclass has no unit, and its reference is a declared one."""
    (tmp_path / "wells.py").write_text(PLUGIN, encoding="utf-8")
    program = """
import sys
from runner.__main__ import main
quiet = ["plugins=[wells]", "tracking=off", "run.figures=false", "estimator=exact", "ansatz=real_amplitudes"]
quiet += ["ansatz.reps=1", "optimizer.max_evaluations=3"]
for name in ("well", "plain"):
    assert main([*quiet, "hamiltonian=" + name, "hydra.run.dir=" + name]) == 0
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join((str(tmp_path), str(ROOT)))},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    first, second = (read_journal(tmp_path / name / "journal.jsonl").events for name in ("well", "plain"))
    from runner.review.figures.canvas import unit

    error = json.loads((tmp_path / "well" / "result.json").read_text(encoding="utf-8"))["error"]

    assert first[0].energy_unit == "eV"
    assert unit(first) == "eV"
    assert f"{error:+.3g} eV ({100 * error / 2:.2g} %) from the reference" in done.stdout
    assert "energy_unit" not in (tmp_path / "plain" / "journal.jsonl").read_text(encoding="utf-8")
    assert unit(second) == "units of H"
    assert "-2.500000" in done.stdout


def test_a_sweeps_page_has_the_unit_that_the_sweep_recorded(tmp_path: Path) -> None:
    """Also one of a plug-in that is not installed where the page is made."""
    pytest.importorskip("plotly")
    from runner.review.report import sweep_page

    (tmp_path / "sweep.csv").write_text("run,seed,status,energy\na,1,finished,-1.0\nb,2,finished,-2.0\n")
    header = {"overrides": ["seed=1,2"], "schemas": {"hamiltonian": "well"}, "energy_unit": "eV"}
    (tmp_path / "sweep.json").write_text(json.dumps(header), encoding="utf-8")

    assert "energy (eV)" in sweep_page(tmp_path, interactive=True).read_text(encoding="utf-8")

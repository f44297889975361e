"""The ten tasks of docs/tutorial-tasks.md as their page has them, shortened where they would take long."""

from __future__ import annotations

import html
import json
import re
import shlex
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from runner.__main__ import main
from runner.declare import registry
from runner.errors import ConfigError
from runner.record.events import Evaluation
from runner.record.journal import read_journal
from runner.record.log import first as first_of
from tests.test_documented_commands import ROOT, typed, written

PAGE = (ROOT / "docs" / "tutorial-tasks.md").read_text("utf-8")
SECTIONS = dict(re.findall(r"^## (\d+\. .*?)\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S))
SHORT = ("tracking=off", "run.figures=false")


def commands(number: int) -> list[str]:
    """The lines to type in a section, but for what is installed."""
    (text,) = [text for title, text in SECTIONS.items() if title.startswith(f"{number}. ")]
    lines = [line for block in re.findall(r"```sh\n(.*?)```", text, re.S) for line in block.splitlines()]
    return [line for line in lines if not line.startswith("pip install")]


def carry_out(command: str, *more: str) -> int:
    """Type a line of the page, with more settings behind it."""
    text = typed(command)
    if not text.startswith("python -m runner"):
        subprocess.run(["bash", "-c", text], check=True)
        return 0
    return main([*shlex.split(text)[3:], *more])


def newest(pattern: str = "outputs/runs/*/result.json") -> dict[str, Any]:
    """What the last run came to."""
    path = max(Path().glob(pattern), key=lambda path: path.stat().st_mtime_ns)
    return dict(json.loads(path.read_text("utf-8")), directory=path.parent)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder with the files that the page shows."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    written(ROOT / "docs" / "tutorial-tasks.md")
    return tmp_path


def test_the_page_has_ten_tasks() -> None:
    """In their order; what needs a package says so."""
    assert [title.partition(".")[0] for title in SECTIONS] == [str(number) for number in range(1, 11)]


@pytest.mark.nightly
@pytest.mark.skipif(find_spec("pyscf") is None, reason="needs the extra [chemistry]")
def test_a_dissociation_curve(place: Path) -> None:
    """Five distances, above the exact energies by what the noise adds, and a picture of the curve."""
    (command,) = commands(1)

    assert carry_out(command, "tracking=off") == 0

    result = newest()
    assert [row["bond_length"] for row in result["table"]] == [1.2, 1.6, 2.0, 2.4, 2.8]
    assert all(row["energy"] > row["exact"] for row in result["table"])
    assert (result["directory"] / "figures" / "table.png").is_file()


def test_a_graph_of_ones_own_and_a_warm_start(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By hand: {1, 3} against {0, 2} cuts 1 + 2 + 1 + 1.5 = 5.5 of the roads; the second run starts where one ended."""
    for command in commands(3):
        more = SHORT if "experiment" in command else ()
        assert carry_out(command, *more) == 0

    first, second = sorted(
        Path().glob("outputs/runs/*/result.json"), key=lambda path: path.stat().st_mtime_ns
    )
    begun = first_of(read_journal(second.parent / "journal.jsonl").events, Evaluation)
    assert "roads.csv: graph" in capsys.readouterr().out
    assert newest()["table"][0]["cost"] == pytest.approx(-5.5)
    assert begun is not None
    assert begun.parameters == json.loads(first.read_text("utf-8"))["parameters"]


@pytest.mark.skipif(find_spec("qiskit_qasm3_import") is None, reason="needs the extra [qasm3]")
def test_a_hamiltonian_from_csv_and_an_ansatz_in_openqasm(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """−√2 is the lowest of ZZ + (XI + IX)/2, from its block [[1, 1], [1, −1]]; angles have the names of the file."""
    make, command = commands(4)
    carry_out(make)

    assert carry_out(command, *SHORT) == 0

    result = newest()
    assert result["reference_energy"] == pytest.approx(-(2**0.5))
    assert result["parameter_names"] == ["a", "b"]
    assert "a=" in capsys.readouterr().out


def test_energy_against_noise(place: Path) -> None:
    """Four strengths; every one costs energy."""
    (command,) = commands(5)

    assert carry_out(command, *SHORT) == 0

    (table,) = Path().glob("outputs/sweeps/*/sweep.csv")
    header, *lines = [line.split(",") for line in table.read_text("utf-8").splitlines()]
    found = [dict(zip(header, line, strict=True)) for line in lines]
    energies = [float(row["energy"]) for row in found]
    assert [float(row["backend.depolarizing_2q"]) for row in found] == [0, 0.002, 0.005, 0.01]
    assert energies == sorted(energies)
    assert energies[-1] - energies[0] > 1e-3


def test_five_minutes_of_session_and_going_on(place: Path) -> None:
    """It ends within 300 s of usage with exit code 3, and the next command ends it in another session."""
    stop, go_on = commands(6)

    assert carry_out(stop, *SHORT) == 3

    assert newest()["usage_seconds"] <= 300
    paid = newest()["evaluations"]
    assert carry_out(go_on) == 0
    assert newest()["status"] == "finished"
    assert newest()["evaluations"] >= paid
    assert len(newest()["session_ids"]) == 2


def test_the_price_on_a_real_device(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """QPU seconds times the plan's price; there is no account."""

    def no_account() -> None:
        raise ConfigError("no usable IBM Quantum account", key="backend")

    monkeypatch.setattr("runner.services.connect", no_account)
    (command,) = commands(7)

    assert carry_out(command, "optimizer.max_evaluations=20") == 0

    (path,) = Path().glob("outputs/forecasts/*/forecast.json")
    found = json.loads(path.read_text("utf-8"))
    assert found["cost"] == pytest.approx(found["usage_seconds"] * 0.8)  # 48 USD a minute on the premium plan
    assert 18 <= found["evaluations"] <= 20
    assert found["circuit"]["duration_seconds"] > 1e-6


def test_an_optimizer_and_a_hamiltonian_of_ones_own(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """−√(1 + 4·0.7²) is the ground state with a field of 0.7; both are listed and named by the run."""
    monkeypatch.setattr(
        registry, "_plugins", {group: dict(added) for group, added in registry._plugins.items()}
    )
    shown, command = commands(9)
    assert carry_out(shown) == 0
    assert "Standard deviation of a step in radians." in capsys.readouterr().out

    assert carry_out(command, *SHORT) == 0

    result = newest()
    assert result["reference_energy"] == pytest.approx(-((1 + 4 * 0.7**2) ** 0.5))
    assert result["evaluations"] == 60


def test_one_file_says_how_to_do_it_again(place: Path) -> None:
    """The command on the page gives the same bits."""
    make, report = commands(10)
    assert carry_out(make, *SHORT) == 0
    first = newest()

    assert carry_out(report) == 0

    page = (first["directory"] / "report.html").read_text("utf-8")
    (again,) = re.findall(r"<pre>(python -m runner .*?)</pre>", page)
    assert carry_out(html.unescape(again)) == 0
    second = newest()
    assert second["directory"] != first["directory"]
    assert (second["energy"], second["parameters"]) == (first["energy"], first["parameters"])

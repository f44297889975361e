"""What a page or MLflow says to type does the same again, or nothing is said."""

from __future__ import annotations

import shlex
from pathlib import Path

from runner.declare.composer import compose, declare
from runner.display.command import run_command, sweep_command
from runner.record.events import RunStarted
from runner.record.journal import read_journal
from runner.record.log import first
from runner.run.execution import run
from runner.tracking.presentation import description, tags
from runner.tracking.translation import Translation

SAMPLING = ("experiment=sampling", "hamiltonian=h2", "tracking=off")


def started(**said: object) -> RunStarted:
    """A run that begins."""
    return RunStarted.read({"experiment": "vqe", "config": {}, "overrides": [], "schemas": {}, **said})


def test_the_command_of_a_run_reads_back_as_what_was_typed() -> None:
    """Words that a shell would take apart are quoted; folders with choices are named, as the shell hands them on."""
    typed = ["hamiltonian=pauli", "hamiltonian.terms=[[ZZ, 1.0]]", "name='a b'"]
    command = run_command(started(overrides=typed, config_dirs=["/my presets"]))

    assert shlex.split(command) == ["python", "-m", "runner", "--config-dir", "/my presets", *typed]
    assert run_command(started()) == "python -m runner"
    assert (
        sweep_command({"overrides": ["seed=1,2"], "config_dirs": ["/p"]})
        == "python -m runner -m --config-dir /p seed=1,2"
    )


def test_no_command_is_said_where_typing_cannot_do_it_again(workdir: Path) -> None:
    """A configuration that a program made, a run that starts at another's best point, a table made by hand."""
    assert run_command(None) is None
    assert run_command(started(forked_from="other")) is None
    assert sweep_command({}) is None

    programmed = run(compose(*SAMPLING), directory="programmed")
    said = Translation()
    said.started = first(read_journal(programmed.directory / "journal.jsonl").events, RunStarted)
    assert said.started.programmed
    assert "python -m runner" not in description(said)
    assert "mlflow.source.name" not in tags(said)


def test_a_run_records_the_folders_its_choices_came_from(workdir: Path) -> None:
    """They are part of the command that MLflow shows."""
    mine = workdir / "mine" / "hamiltonian"
    mine.mkdir(parents=True)
    (mine / "bond.yaml").write_text("defaults: [h2]\n")
    typed = ["experiment=sampling", "hamiltonian=bond", "tracking=off"]

    result = run(declare(typed, config_dirs=["mine"]), directory="run")

    said = Translation()
    said.started = first(read_journal(result.directory / "journal.jsonl").events, RunStarted)
    expected = shlex.join(["python", "-m", "runner", "--config-dir", str(workdir / "mine"), *typed])
    assert tags(said)["mlflow.source.name"] == expected
    assert expected in description(said)

"""`list`, `compare`, `watch` and `ui`: looking at runs from a terminal."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from runner import compose, resume, run
from runner.__main__ import main
from runner.cli.compare import differences, outcomes
from runner.cli.list import row
from runner.cli.list import runs as runs_below
from runner.cli.ui import Address
from runner.cli.watch import most_evaluations, newest
from runner.declare.composer import declare
from runner.errors import ConfigError
from runner.record.events import RunResumed, RunStarted
from runner.record.journal import Journal, read_journal
from runner.record.log import outcome
from runner.review.figures import run as figures
from runner.tracking.translation import Translation
from tests.journals import evaluation, job, session, told

SMALL = ("tracking=off", "run.figures=false", "optimizer=cobyla", "optimizer.max_evaluations=4")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with outputs/: two finished runs and one that was killed."""
    folder = tmp_path_factory.mktemp("look")
    for name, more in (("a", ()), ("b", ("optimizer=spsa", "optimizer.max_evaluations=60", "seed=2"))):
        run(compose(*SMALL, *more), directory=str(folder / "outputs" / "runs" / name))
        time.sleep(0.02)
    killed = folder / "outputs" / "runs" / "killed"
    killed.mkdir()
    with Journal.create(killed / "journal.jsonl") as journal:
        journal.write(told("run.started", {"config": {}, "name": "killed"}))
    return folder


def test_list_shows_the_newest_first(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line per run with its state; a limit says how many are left out."""
    monkeypatch.chdir(runs)

    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert main(["list", "limit=1"]) == 0
    short = capsys.readouterr().out

    assert [line.split()[-1].rpartition("/")[2] for line in lines[1:]] == ["killed", "b", "a"]
    assert [line.split()[0] for line in lines[1:]] == ["interrupted", "finished", "finished"]
    assert "USD" in lines[2]
    assert "2 more; limit=3 shows all" in short


def test_a_run_that_has_gone_on_and_was_killed_is_not_as_it_ended_before(
    workdir: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the end of its journal: it stopped, was resumed, and nothing more; while somebody writes it, it is running.

    Its table is that of the end that counts, once: rows were drawn and shown as often as it had ended.
    """
    declared = ("experiment=vqe_race", "hamiltonian=two_qubit", "optimizer=cobyla", "tracking=off")
    stopped = run(compose(*declared, "optimizer.max_evaluations=3", "session.max_time=60"), directory="run")
    ended = Path("run/journal.jsonl").read_bytes()
    result = Path("run/result.json").read_bytes()
    with Journal.append_to("run/journal.jsonl") as journal:
        journal.write(RunResumed(pid=1, leaves=True))
        assert row(Path("run"))[0] == "running"

    assert stopped.status == "stopped"
    assert row(Path("run")) == ["interrupted", *[""] * 6, "run"]
    assert ("status", "interrupted", "interrupted") in outcomes([Path("run"), Path("run")])
    assert main(["watch", "run"]) == 1
    said = capsys.readouterr().out
    assert "the run's process is gone without a result; continue it with:" in said
    assert "USD" not in said
    assert main(["report", "run"]) == 0
    assert "unfinished" in Path("run/report.html").read_text()
    assert outcome(read_journal("run/journal.jsonl").events) == {}
    told = Translation()
    for event in read_journal("run/journal.jsonl").events:
        told.feed(event)
    assert (told.state, told.result) == ("interrupted", {})
    assert Path("run/result.json").read_bytes() == result

    Path("run/journal.jsonl").write_bytes(ended)
    assert row(Path("run"))[0] == "stopped"
    again = resume("run")
    assert row(Path("run"))[0] == again.status == "finished"
    shown: list[Any] = []
    monkeypatch.setattr(figures, "curves", shown.append)
    figures.draw_run(read_journal("run/journal.jsonl").events, workdir / "drawn")
    assert shown == [json.loads(Path("run/result.json").read_text())["table"]]


def test_list_without_runs_says_so(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An empty folder is no error, a bad limit is."""
    assert main(["list"]) == 0
    assert main(["list", "limit=none"]) == 2

    assert "no runs below outputs" in capsys.readouterr().out


def test_compare_puts_differences_above_outcomes(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A choice that differs stands for the settings only it has."""
    paths = [runs / "outputs" / "runs" / name for name in ("a", "b")]

    differing = {key: values for key, *values in differences(paths)}
    results = {name: values for name, *values in outcomes(paths)}

    assert differing == {
        "seed": ["1", "2"], "optimizer.name": ["cobyla", "spsa"], "optimizer.max_evaluations": ["4", "60"],
    }  # fmt: skip
    assert results["status"] == ["finished", "finished"]
    assert results["evaluations"][0] == "4"
    assert main(["compare", *map(str, paths)]) == 0
    assert "optimizer.name" in capsys.readouterr().out


def declared_as(folder: Path, name: str, declared: dict[str, Any]) -> Path:
    """A directory with nothing but what a run was declared to be."""
    path = folder / name
    path.mkdir()
    (path / "config.yaml").write_text(yaml.safe_dump(declared))
    return path


def test_compare_hides_no_setting_of_runs_with_the_same_choice_beside_another(tmp_path: Path) -> None:
    """By reading: 1 and 2 differ in field, shape and terms; 3, of another choice, hides none, and has a row for none.

    `coupling` and `periodic`, which 1 and 2 have alike, go with the name of the choice, as `distance` does.
    """
    chain = {"name": "tfim", "coupling": 1.0, "periodic": False}
    paths = [
        declared_as(tmp_path, "1", {"hamiltonian": {**chain, "field": 1.0, "shape": [3]}}),
        declared_as(tmp_path, "2", {"hamiltonian": {**chain, "field": 2.0, "shape": [4]}}),
        declared_as(tmp_path, "3", {"hamiltonian": {"name": "h2", "distance": 0.735}}),
    ]
    inline = [
        declared_as(tmp_path, word, {"hamiltonian": {"name": "inline", "terms": {word: 1.0}}})
        for word in ("ZZ", "XX")
    ]

    assert {key: values for key, *values in differences(paths)} == {
        "hamiltonian.name": ["tfim", "tfim", "h2"],
        "hamiltonian.field": ["1.0", "2.0", ""],
        "hamiltonian.shape": ["[3]", "[4]", ""],
    }
    assert {key: values for key, *values in differences(inline)} == {
        "hamiltonian.terms.ZZ": ["1.0", ""], "hamiltonian.terms.XX": ["", "1.0"],
    }  # fmt: skip


def test_compare_needs_two_runs(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One run cannot be compared; a folder stands for all runs in it."""
    assert main(["compare", str(runs / "outputs" / "runs" / "a")]) == 2
    assert main(["compare", str(runs)]) == 0

    assert "killed" in capsys.readouterr().out


def test_watch_shows_a_finished_run_and_its_exit_code(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Sessions and the summary, as the run itself would have shown them."""
    monkeypatch.chdir(runs)

    assert main(["watch", "outputs/runs/a"]) == 0

    shown = capsys.readouterr()
    assert "closed by close()" in shown.err
    assert "usage" in shown.out


@pytest.mark.parametrize(
    ("words", "most"),
    [
        (["optimizer=cobyla", "optimizer.max_evaluations=12"], 12),
        (["optimizer=spsa", "optimizer.calibration=3", "optimizer.iterations=5"], 2 * 3 + 2 * 5 + 1),
        (["experiment=vqd", "experiment.levels=2", "experiment.starts=3", "optimizer.max_evaluations=6"], 36),
        (["experiment=vqe_race", "optimizer.max_evaluations=9"], 2 * 9),
        (["experiment=dynamics"], None),
    ],
)
def test_watch_knows_how_many_evaluations_there_will_be(words: list[str], most: int | None) -> None:
    """What the run's own line says, for every experiment; SPSA asks twice a direction and once at its end."""
    declaration = declare(words)
    values = {"config": declaration.values, "schemas": declaration.schemas}

    assert most_evaluations(began(**values)) == most
    assert most_evaluations(began(**{**values, "config": {**declaration.values, "plugins": ["x"]}})) is None


def began(**said: Any) -> RunStarted:
    """The first event of a run of these."""
    usual = {
        "run_id": "a",
        "name": "",
        "experiment": "",
        "overrides": [],
        "seed": 1,
        "versions": {},
        "threads": 1,
    }
    return RunStarted(**usual, processor="", **said)


def test_watch_says_that_a_process_is_gone(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What to do next is on the screen."""
    assert main(["watch", str(runs / "outputs" / "runs" / "killed")]) == 1

    assert "python -m runner resume" in capsys.readouterr().out


def test_watch_follows_a_run_from_another_process(tmp_path: Path) -> None:
    """Progress appears while the journal grows; watching neither locks nor changes it."""
    journal = Journal.create(tmp_path / "journal.jsonl")
    journal.write(told("run.started", {"config": {"optimizer": {"max_evaluations": 3}}, "name": "live"}))
    journal.write(session(0, "open", "opened"))
    watcher = subprocess.Popen(
        [sys.executable, "-m", "runner", "watch", str(tmp_path)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert watcher.stderr is not None

    first = watcher.stderr.readline()
    for event in [*job(0, 0, 0, 5), evaluation(0, -1.0, -1.0)]:
        journal.write(event)
    journal.write(told("run.ended", {"status": "finished", "stop_reason": "done", "exit_code": 0}))
    journal.close()
    out, _ = watcher.communicate(timeout=60)

    assert "opened" in first
    assert watcher.returncode == 0
    assert out.startswith("watching ")


def test_watch_finds_the_newest_run(workdir: Path) -> None:
    """Without a directory the run that began last is meant."""
    with pytest.raises(ConfigError, match="no run below"):
        newest()
    for name in ("one", "two"):
        (workdir / "outputs" / "runs" / name).mkdir(parents=True)
        Journal.create(workdir / "outputs" / "runs" / name / "journal.jsonl").close()
        time.sleep(0.02)

    assert newest() == Path("outputs/runs/two")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "example.org"])
def test_ui_refuses_to_be_reached_from_outside(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    """MLflow has no password, so only this machine may ask; unless somebody says so."""
    assert main(["ui", f"host={host}"]) == 2

    assert "allow_remote=true" in capsys.readouterr().err
    Address(host=host, allow_remote=True).check()


def test_ui_wants_a_store_and_a_free_port(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is missing is told before MLflow is started."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigError, match="is taken"):
            Address(port=taken.getsockname()[1]).choose_port()

    assert main(["ui"]) == 2
    assert main(["ui", "port=http"]) == 2
    assert "run something first" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ("experiment=sampling", "hamiltonian.shape=[2]", "hamiltonian=tfim"),
        ("experiment=skqd", "hamiltonian.shape=[4]", "experiment.dimension=2"),
        ("experiment=krylov", "hamiltonian.shape=[4]", "experiment.dimension=2"),
        ("experiment=dynamics", "hamiltonian.shape=[2]", "experiment.steps=2"),
        ("experiment=estimation",),
        (
            "experiment=kicked_ising", "backend=generic", "backend.num_qubits=3", "backend.topology=line",
            "experiment.depth=1", "experiment.points=2", "experiment.observables=[magnetization]",
        ),
    ],
    ids=lambda words: words[0].partition("=")[2],
)  # fmt: skip
def test_no_evaluations_are_told_where_nothing_is_optimized(
    workdir: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    """Neither in the summary nor by list, compare, the report and the forecast after it; jobs are told by that."""
    declared = [*words, "tracking=off", "estimator.default_shots=100"]
    assert main([*declared, "hydra.run.dir=outputs/runs/one"]) == 0
    assert main(["compare", "outputs/runs/one", "outputs/runs/one"]) == 0
    said = capsys.readouterr().out
    assert main(["list"]) == 0
    heads = capsys.readouterr().out
    assert main(["forecast", *declared]) == 0
    told_before = capsys.readouterr().out
    page = Path("outputs/runs/one/report.html").read_text(encoding="utf-8")

    assert "energy" in heads
    assert "evaluation" not in said
    assert "iterations" not in said
    assert "0 evaluations" not in told_before
    assert "evaluations 0" not in heads
    assert ">evaluations<" not in page
    assert "jobs" in told_before


def test_ui_takes_the_store_of_a_run_whatever_it_is_called(tmp_path: Path) -> None:
    """Runs are named by their overrides, so their directories have equals signs in them."""
    from runner.cli.ui import _store

    directory = tmp_path / "vqe_max_evaluations=20_seed=2"
    directory.mkdir()
    with Journal.create(directory / "journal.jsonl") as journal:
        tracking = {"name": "mlflow", "uri": "http://127.0.0.1:1234", "artifacts": "a"}
        (directory / "config.yaml").write_text(yaml.safe_dump({"tracking": tracking}))
        journal.write(
            told("run.started", {"config": {"tracking": tracking}, "schemas": {"tracking": "mlflow"}})
        )

    assert _store([str(directory)], [], []).uri == "http://127.0.0.1:1234"


@pytest.mark.nightly
def test_ui_answers_and_stops_with_its_server(workdir: Path) -> None:
    """The address is said when it answers; a termination signal takes the server along."""
    import http.client

    run(compose("run.figures=false", "optimizer.max_evaluations=4"))
    ui = subprocess.Popen([sys.executable, "-m", "runner", "ui"], stdout=subprocess.PIPE, text=True)
    assert ui.stdout is not None
    address = ui.stdout.readline().split()[0]
    port = int(address.split("/")[2].rpartition(":")[2])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request(
        "POST", "/api/2.0/mlflow/experiments/search", json.dumps({"max_results": 5}),
        {"Content-Type": "application/json"},
    )  # fmt: skip
    names = {item["name"] for item in json.loads(connection.getresponse().read())["experiments"]}

    os.kill(ui.pid, signal.SIGTERM)
    code = ui.wait(timeout=60)

    assert "vqe" in names
    assert code == 143
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port), timeout=5)


@pytest.mark.nightly
def test_two_that_start_at_once_show_their_own_stores(workdir: Path) -> None:
    """Both look for a port before either server has one; each address is that of the experiment recorded there."""
    import http.client

    started = []
    for name in ("one", "other"):
        Path(name).mkdir()
        with pytest.MonkeyPatch.context() as inside:
            inside.chdir(name)
            run(compose("run.figures=false", "optimizer.max_evaluations=4", f"tracking.experiment={name}"))
    for name in ("one", "other"):
        started.append(
            subprocess.Popen(
                [sys.executable, "-m", "runner", "ui"], cwd=name, stdout=subprocess.PIPE, text=True
            )
        )
    shown = []
    for ui in started:
        assert ui.stdout is not None
        connection = http.client.HTTPConnection(ui.stdout.readline().split("/")[2], timeout=60)
        connection.request(
            "POST", "/api/2.0/mlflow/experiments/search", json.dumps({"max_results": 5}),
            {"Content-Type": "application/json"},
        )  # fmt: skip
        shown.append({item["name"] for item in json.loads(connection.getresponse().read())["experiments"]})
    for ui in started:
        ui.terminate()
        ui.wait(timeout=60)

    assert [names & {"one", "other"} for names in shown] == [{"one"}, {"other"}]


@pytest.mark.nightly
def test_ui_that_is_killed_takes_its_server_along(workdir: Path) -> None:
    """After SIGKILL the port is free again, at once or nearly so."""
    run(compose("run.figures=false", "optimizer.max_evaluations=4"))
    ui = subprocess.Popen([sys.executable, "-m", "runner", "ui"], stdout=subprocess.PIPE, text=True)
    assert ui.stdout is not None
    port = int(ui.stdout.readline().split()[0].split("/")[2].rpartition(":")[2])

    ui.kill()
    ui.wait()
    for _ in range(300):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return
        time.sleep(0.1)
    pytest.fail("the server answers still")


@pytest.mark.nightly
def test_ui_opens_what_is_named(workdir: Path) -> None:
    """With the directory of a run or of a sweep the address is that run's page; ids from the store itself."""
    import sqlite3

    run(compose("name=alone", "run.figures=false", "optimizer.max_evaluations=4"))
    assert main(["-m", "seed=1,2", "optimizer.max_evaluations=4"]) == 0
    with sqlite3.connect("outputs/mlflow.db") as store:
        ids = dict(store.execute("select name, run_uuid from runs").fetchall())
    (sweep,) = Path("outputs/sweeps").iterdir()
    (single,) = Path("outputs/runs").iterdir()
    for directory, run_id in ((single, ids["alone"]), (sweep, ids[sweep.name])):
        ui = subprocess.Popen(
            [sys.executable, "-m", "runner", "ui", str(directory)], stdout=subprocess.PIPE, text=True
        )
        assert ui.stdout is not None
        address = ui.stdout.readline().split()[0]
        ui.terminate()
        ui.wait(timeout=60)

        assert address.endswith(f"/#/experiments/1/runs/{run_id}")


def test_list_looks_at_every_folder_once_and_not_into_runs(
    workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """30 runs with figures in two folders: a look at each run, at both folders and at what holds them, no more."""
    for number in range(30):
        figures = workdir / "outputs" / ("runs" if number % 2 else "sweeps/one") / str(number) / "figures"
        figures.mkdir(parents=True)
        (figures.parent / "journal.jsonl").touch()
    looked: list[Path] = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: looked.append(Path(path)) or scandir(path))

    found = list(runs_below(Path("outputs")))

    assert sorted(path.name for path in found) == sorted(map(str, range(30)))
    assert len(looked) == 30 + 4  # outputs, runs, sweeps, sweeps/one


def test_shots_that_came_out_alike_are_told_where_an_error_bar_would_stand(
    workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """⟨Z⟩ of |0⟩: every shot says 1; an exact one beside it has no word there."""
    words = (
        "experiment=estimation",
        "experiment.observables=[Z]",
        "ansatz=gates",
        "ansatz.gates=[[x,0],[x,0]]",
    )
    for name, estimator in (("shots", "level0"), ("exact", "exact")):
        declared = (*words, f"estimator={estimator}", "tracking=off", "run.figures=false")
        run(compose(*declared), directory=f"outputs/runs/{name}")
    capsys.readouterr()
    assert main(["list"]) == 0
    listed = capsys.readouterr().out
    told = {
        name: cells for name, *cells in outcomes([Path("outputs/runs/shots"), Path("outputs/runs/exact")])
    }

    assert told["stddev"] == ["no spread in its shots", ""]
    assert told["value"] == ["1.000000", "1.000000"]
    assert told["value of"] == ["Z", "Z"]
    assert not [name for name in told if "energy" in name]
    assert listed.count("1.000000 (no spread in its shots)") == 1
    assert listed.count("⟨Z⟩ 1.000000") == 2
    assert "energy or ⟨O⟩" in listed

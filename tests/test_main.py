"""The command line as a person meets it: a real process, a real store, a real Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from runner.__main__ import main
from runner.cli import VERBS
from runner.cli.completion import candidates
from runner.cli.line import read
from runner.errors import ConfigError, installed, out_of_memory
from runner.record.journal import read_journal


def runner(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run `python -m runner` in a folder."""
    return subprocess.run(
        [sys.executable, "-m", "runner", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_package_that_there_is_no_room_for_is_not_called_missing() -> None:
    """What the system's loader says of it is about memory; only what is not there, or is old, is to be installed."""
    for error in (ModuleNotFoundError("No module named 'cma'"), ImportError("cannot import name 'PEC'")):
        with (
            pytest.raises(ConfigError, match=r"^optimizer: install it$"),
            installed("install it", key="optimizer"),
        ):
            raise error
    with pytest.raises(ConfigError, match=r"^install it \(no\)$"), installed("install it", why=True):
        raise ImportError("no")
    with pytest.raises(MemoryError), installed("install it"):
        raise ImportError("/lib/x.so: failed to map segment from shared object")
    assert not out_of_memory(SystemError("error return without exception set"))  # there is room here
    assert not out_of_memory(RuntimeError("another"))


def test_the_main_job(tmp_path: Path) -> None:
    """`python -m runner experiment=vqe`: summary, run directory, and a finished MLflow run with its metrics."""
    done = runner(
        "experiment=vqe", "optimizer.max_evaluations=15", "hydra.run.dir=outputs/runs/mine", folder=tmp_path
    )

    assert done.returncode == 0, done.stderr
    for word in (
        "energy",
        "σ from the reference",
        "exact here",
        "usage",
        "outputs/runs/mine",
        "python -m runner ui",
    ):
        assert word in done.stdout, done.stdout
    result = json.loads((tmp_path / "outputs/runs/mine/result.json").read_text())
    assert [path.name for path in tmp_path.iterdir()] == ["outputs"]
    with sqlite3.connect(tmp_path / "outputs" / "mlflow.db") as database:
        (status,) = database.execute(
            "select status from runs where run_uuid=?", [result["mlflow_run_id"]]
        ).fetchone()
        (steps,) = database.execute("select count(*) from metrics where key='energy/value'").fetchone()
    assert status == "FINISHED"
    assert steps == result["evaluations"] == 15


def wait_for_jobs(journal: Path, count: int) -> None:
    """Wait until a running experiment has completed some jobs."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if (
            journal.is_file()
            and sum(e.kind == "job.completed" for e in read_journal(journal).events) >= count
        ):
            return
        time.sleep(0.02)
    raise AssertionError(f"{journal} did not come to {count} jobs in a minute")


@pytest.mark.parametrize(
    ("signum", "code"),
    [
        (signal.SIGINT, 130),
        pytest.param(signal.SIGTERM, 143, marks=pytest.mark.nightly),
        pytest.param(signal.SIGHUP, 129, marks=pytest.mark.nightly),
    ],
)
def test_a_signal_ends_the_run_resumably(workdir: Path, signum: int, code: int) -> None:
    """Ctrl-C in the middle: one line, the session closed, and resume goes on to the same end."""
    declared = [
        "tracking=off",
        "hamiltonian=h2",
        "run.figures=false",
        "optimizer.max_evaluations=300",
        "optimizer.tolerance=1e-9",
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", "runner", *declared, "hydra.run.dir=run"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    wait_for_jobs(workdir / "run" / "journal.jsonl", 5)
    os.kill(process.pid, signum)
    out, err = process.communicate(timeout=60)

    assert process.returncode == code, err
    assert "the current job completes first" in err
    assert "Traceback" not in err
    assert "python -m runner resume run" in " ".join(out.split())
    assert json.loads((workdir / "run/session.json").read_text())["sessions"][0]["status"] == "Closed"

    assert main(["resume", "run"]) == 0
    assert json.loads((workdir / "run/result.json").read_text())["status"] == "finished"


def test_help_names_every_group_and_field(capsys: pytest.CaptureFixture[str]) -> None:
    """--help is the manual: verbs, groups, choices, fields with their meaning."""
    assert main(["--help"]) == 0

    text = capsys.readouterr().out
    for word in ("experiment=…", "optimizer=…", "cobyla", "session.max_time=null", "Exit codes", *VERBS):
        assert word in text
    assert all(len(line) <= 120 for line in text.splitlines())


def test_help_of_a_group_lists_every_choice(capsys: pytest.CaptureFixture[str]) -> None:
    """`--help optimizer` has the fields of each method."""
    assert main(["--help", "optimizer"]) == 0

    text = capsys.readouterr().out
    assert "optimizer.rhobeg" in text
    assert "fields of spsa" in text


def test_the_composed_configuration_can_be_printed(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`-c job` shows what would run, and runs nothing."""
    assert main(["-c", "job", "seed=9"]) == 0

    assert "seed: 9" in capsys.readouterr().out
    assert list(workdir.iterdir()) == []


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("python -m runner optimizer=cob", {"optimizer=cobyla", "optimizer=cobyqa"}),
        ("python -m runner session.max_t", {"session.max_time="}),
        ("python -m runner res", {"resume"}),
        ("runner experiment=vq", {"experiment=vqe"}),
        ("runner resume --f", {"--fork"}),
        ("runner export --", {"--help", "--format", "--output", "--bound"}),
        ("runner -m --c", {"--cfg", "--config-dir"}),
        ("runner --cfg ", {"job", "hydra", "all"}),
        ("runner --cfg=h", {"--cfg=hydra"}),
        ("runner list l", {"limit="}),
        ("runner retime r1 session=b", {"session=batch"}),
        ("runner -m hydra/launcher=sub", {"hydra/launcher=submitit_local", "hydra/launcher=submitit_slurm"}),
        ("runner hydra.s", {"hydra.sweep.dir="}),
        ("runner --help op", {"optimizer"}),
        ("runner -m hydra/launcher=joblib hydra.launcher.n", {"hydra.launcher.n_jobs="}),
        ("runner -m hydra/launcher=submitit_slurm hydra.launcher.part", {"hydra.launcher.partition="}),
        ("runner -m hydra/sweeper=optuna hydra.sweeper.n_t", {"hydra.sweeper.n_trials="}),
    ],
)
def test_completion(
    line: str, expected: set[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The shell asks with COMP_LINE and gets choices, keys, verbs and their flags."""
    monkeypatch.setenv("COMP_LINE", line)

    assert main(["-sc", "query=bash"]) == 0
    assert expected <= set(capsys.readouterr().out.split())


@pytest.mark.parametrize("flag", ["--config-dir {}", "--config-dir={}", "-cd '{}'"])
def test_completion_knows_the_folders_of_the_line(flag: str, tmp_path: Path) -> None:
    """A choice of one's own, its keys, and a launcher's file."""
    (tmp_path / "optimizer").mkdir()
    quick = "defaults: [cobyla, _self_]\nmax_evaluations: 7\n"
    (tmp_path / "optimizer" / "quick.yaml").write_text(quick, encoding="utf-8")
    line = f"python -m runner {flag.format(tmp_path)}"

    assert candidates(f"{line} optimizer=q") == ["optimizer=qn_spsa", "optimizer=quick"]
    assert candidates(f"{line} optimizer=quick optimizer.max_evaluations=") == ["optimizer.max_evaluations=7"]
    assert "resume" in candidates(f"{line} res")


def test_completion_goes_on_where_a_folder_or_module_is_not_there() -> None:
    """What was typed before is not right yet."""
    assert "optimizer=qn_spsa" in candidates("runner --config-dir nowhere plugins=[nothing] optimizer=q")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["-sc", "foo"], "-sc: takes install=, uninstall= or query= and bash or zsh, e.g. install=bash"),
        (["--version", "foo"], "--version: stands alone; leave 'foo' out"),
        (["--hydra-help", "foo"], "--hydra-help: stands alone; leave 'foo' out"),
    ],
)
def test_a_word_too_many_beside_a_flag_is_no_verb(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The flag says what it takes."""
    assert main(words) == 2
    assert capsys.readouterr().err == f"error: {told}\n"


@pytest.mark.parametrize(
    "line", ["runner list --f", "runner list optim", "runner seed=1 res", "runner retime r1 opt"]
)
def test_what_would_be_refused_is_not_completed(line: str) -> None:
    """Flags, settings and verbs that are not taken there."""
    assert candidates(line) == []


def test_completion_works_in_a_real_shell(tmp_path: Path) -> None:
    """`eval "$(python -m runner -sc install=bash)"`, then a tab."""
    script = (
        f'PATH="{Path(sys.executable).parent}:$PATH"; eval "$(python -m runner -sc install=bash)"\n'
        "COMP_LINE='python -m runner optimizer=cob' COMP_POINT=30\n"
        "COMP_WORDS=(python -m runner optimizer=cob) COMP_CWORD=3\n"
        '_runner_completion; echo "${COMPREPLY[@]}"; complete -p python runner\n'
    )
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)

    assert "optimizer=cobyla" in done.stdout
    assert done.stdout.count("-F _runner_completion") == 2


def test_flags_may_stand_anywhere() -> None:
    """As people type them."""
    line = read(["seed=1", "-m", "--config-dir", "here", "experiment=vqe"])

    assert (line.verb, line.flags, line.config_dirs) == ("run", {"multirun", "config-dir"}, ["here"])
    assert line.arguments == ["seed=1", "experiment=vqe"]


def test_an_unknown_verb_is_told_the_nearest() -> None:
    """`resum` is probably `resume`."""
    with pytest.raises(ConfigError, match="did you mean 'resume'"):
        read(["resum", "outputs/runs/x"])

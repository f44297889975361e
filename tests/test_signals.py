"""Signals are remembered, not raised."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from runner import compose, run
from runner.errors import Interrupted
from runner.run.preflight import Preparation
from runner.run.signals import PREPARING, StopFlag


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_waits_for_the_next_check(signum: int) -> None:
    """Nothing is raised when it arrives; the next check says which it was."""
    with StopFlag() as stop:
        stop.check()
        os.kill(os.getpid(), signum)

        with pytest.raises(Interrupted) as caught:
            stop.check()

    assert caught.value.exit_code == 128 + signum


def test_handlers_are_put_back() -> None:
    """After the run, Ctrl-C is what it was."""
    before = signal.getsignal(signal.SIGINT)
    with StopFlag():
        assert signal.getsignal(signal.SIGINT) != before

    assert signal.getsignal(signal.SIGINT) == before


def test_other_threads_leave_signals_alone() -> None:
    """A run in a worker thread does not touch what the main thread has set up."""
    before = signal.getsignal(signal.SIGINT)
    seen = []

    def enter() -> None:
        with StopFlag():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()

    assert seen == [before]


def test_the_second_signal_ends_the_process() -> None:
    """Even when nothing checks the flag any more."""
    program = (
        "import os, signal\nfrom runner.run.signals import StopFlag\n"
        "with StopFlag():\n    os.kill(os.getpid(), signal.SIGINT)\n    os.kill(os.getpid(), signal.SIGINT)\n"
        "    print('still here')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert done.returncode == 130
    assert done.stdout == ""
    assert "the current job completes first" in done.stderr


def test_ctrl_c_while_a_run_is_prepared_says_that_no_job_runs(
    workdir: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """It speaks of no current job; the run is there, and ends before its first job."""

    class InterruptedPreparation(Preparation):
        def __init__(self, *declared: Any, **more: Any) -> None:
            os.kill(os.getpid(), signal.SIGINT)
            super().__init__(*declared, **more)

    monkeypatch.setattr(sys.modules["runner.run.execution"], "Preparation", InterruptedPreparation)
    result = run(compose("tracking=off", "run.figures=false"), directory="run")

    assert (result.status, result.evaluations) == ("interrupted", 0)
    assert capfd.readouterr().err.startswith(f"\ninterrupt: {PREPARING}\n")


def test_with_nothing_to_save_a_signal_ends_the_process() -> None:
    """While a configuration is composed Ctrl-C ends the process at once, as 130, without a traceback."""
    code = (
        "import os, signal\n"
        "from runner.run.signals import nothing_to_save\n"
        "with nothing_to_save():\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    raise AssertionError('still there')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (130, "interrupted\n")


@pytest.mark.parametrize("module", ["runner.declare.composer", "runner.run.results", "runner.cli.verb"])
def test_R4_ctrl_c_while_the_program_is_loaded_is_one_line(tmp_path: Path, module: str) -> None:
    """It comes in the first quarter of a second, when a module of ours is looked for."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os, signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # ignored by what begins in the background
        "class Finder:\n"
        "    def find_spec(self, name, *_):\n"
        f"        if name == {module!r}:\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Finder())\n"
    )
    paths = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[1])])
    done = subprocess.run(
        [sys.executable, "-m", "runner", "list"],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")

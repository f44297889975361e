"""Every command in the documentation is carried out as it stands there, page by page, which takes its time."""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from runner.declare.config import CONF

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]

CANNOT_RUN = {
    "pip install -e '.[test]' && pytest": "is the tests themselves",
    "git clone": "is how the tests came here",
    "pip install 'session-runner[": "is a part of what the tests have",
    "submitit_slurm": "needs a cluster; tests/test_sweep.py has one that is made of shell scripts",
    "mlflow server": "needs a database and a bucket",
    "PGPASSWORD=…": "are those of that database",
    "psycopg2": "is what it is spoken to with",
    "init.address=auto": "needs a Ray cluster",
}
"""Part of a command → why it is left out."""
if importlib.util.find_spec("ray") is None:
    CANNOT_RUN["hydra/launcher=ray"] = "needs the extra [ray], which the tests do without"

SERVERS = ("python -m runner ui", "python -m runner serve")
"""Commands that go on until they are stopped: they have to answer, and to end when they are told to."""

BEFORE = {
    "docs/look.md": (
        "python -m runner optimizer.max_evaluations=20", "python -m runner optimizer.max_evaluations=20 seed=2",
    ),
    "docs/what-if.md": ("python -m runner",),
}  # fmt: skip
"""What a page takes for granted: that there are runs to look at."""

JUST_BEFORE = {
    "python -m runner resume outputs/runs/": "python -m runner session.max_time=10m",
    "python -m runner resume outputs/sweeps/":
        "timeout --signal=INT 9 python -m runner -m seed='range(40)' || true",
    "python -m runner resume outputs/sweeps/… session.on_expiry=reopen":
        "python -m runner -m session.max_time=10m optimizer.max_evaluations=60 seed=1,2",
    "python -m runner resume outputs/sweeps/… session.max_cost=40":
        "python -m runner -m session.max_cost=20 estimator.default_shots=500 optimizer=cobyla "
        "optimizer.max_evaluations=12 seed=1,2",
}  # fmt: skip
"""What a command takes for granted, by its longest beginning: that the newest run or sweep did not come to its end."""

STOPS = ("session.max_time=10m", "session.max_time=5m", "session.max_cost=20")
"""A command with one of these, and without another session, ends with exit code 3, as its page says."""

PROGRAM = """
from qiskit.circuit import QuantumCircuit
from qiskit.transpiler import generate_preset_pass_manager
from qiskit_ibm_runtime import QiskitRuntimeService, SamplerV2, Session

backend = QiskitRuntimeService().least_busy(operational=True, simulator=False)
bell = QuantumCircuit(2)
bell.h(0)
bell.cx(0, 1)
bell.measure_all()
with Session(backend) as session:
    job = SamplerV2().run([generate_preset_pass_manager(1, backend=backend).run(bell)], shots=100)
    assert job.result()[0].data.meas.num_shots == 100
print(backend.name)
"""
"""The reader's own program, of which docs/offline.md speaks."""


@dataclass(frozen=True)
class Command:
    """One line to type."""

    text: str

    @property
    def reason(self) -> str | None:
        """Why it is not carried out."""
        return next((why for part, why in CANNOT_RUN.items() if part in self.text), None)

    @property
    def serves(self) -> bool:
        """Whether it goes on until it is stopped."""
        return self.text.startswith(SERVERS) and "--env" not in self.text

    @property
    def code(self) -> int:
        """How it ends."""
        return (
            3
            if any(part in self.text for part in STOPS)
            and "reopen" not in self.text
            and "retime" not in self.text
            else 0
        )


def blocks(page: Path) -> list[list[Command]]:
    """The commands of every shell block; in a console they follow a dollar sign, the rest is their output."""
    found = []
    for kind, block in re.findall(
        r"```(sh|bash|console)\n(.*?)```", page.read_text("utf-8"), flags=re.DOTALL
    ):
        lines = [line.strip() for line in block.replace("\\\n", " ").splitlines() if line.strip()]
        if kind == "console":
            lines = [line[2:] for line in lines if line.startswith("$ ")]
        found.append([Command(line) for line in lines])
    return found


def written(page: Path) -> None:
    """Put the files of a page into the current folder: blocks whose first line is a comment with their name."""
    for mark, name, content in re.findall(
        r"```\w+\n(#|//) ([\w.-]+\.\w+)\n(.*?)```", page.read_text("utf-8"), flags=re.DOTALL
    ):
        Path(name).write_text(f"{mark} {name}\n{content}", "utf-8")


def typed(text: str) -> str:
    """The command with the newest directories in place of those that it leaves out, and without installing again."""
    text = text.removeprefix("pip install -e . && ")
    for folder in ("outputs/runs", "outputs/sweeps"):
        there = sorted(Path(folder).glob("*"), key=lambda path: path.stat().st_ctime, reverse=True)
        for path in there:
            text = re.sub(rf"{folder}/(…|2026-03-01\S*)", str(path), text, count=1)
    assert "…" not in text, f"nothing to put into {text}"
    return text


def shell(text: str) -> subprocess.CompletedProcess[str]:
    """Carried out by a shell, in the current folder."""
    return subprocess.run(["bash", "-c", text], capture_output=True, text=True, timeout=1800, check=False)


@contextmanager
def serving(text: str) -> Iterator[None]:
    """A server, while it says where it is until it is stopped."""
    process = subprocess.Popen(
        ["bash", "-c", f"exec {text}"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    try:
        said = process.stdout.readline()
        assert "Ctrl-C" in said, said + process.stdout.read()
        yield
    finally:
        process.send_signal(signal.SIGINT)
        code = process.wait(timeout=60)
        process.stdout.close()
    assert code in (0, 130)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the reader's own program, and a terminal in it whose `python` is this one.

    With DOCUMENTED_WITH in the environment it is the one of that folder: one with README's first command behind it.
    """
    (tmp_path / "my_program.py").write_text(PROGRAM)
    python = os.environ.get("DOCUMENTED_WITH", str(Path(sys.executable).parent))
    monkeypatch.setenv("PATH", f"{python}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def carry_out(group: list[Command]) -> None:
    """The commands of one block: servers first and all along, the others in one shell after another."""
    told = []
    for command in group:
        if command.reason is not None:
            continue
        beginnings = filter(command.text.startswith, JUST_BEFORE)
        if (beginning := max(beginnings, key=len, default=None)) is not None:
            carry_out([Command(JUST_BEFORE[beginning])])
        text = typed(command.text)
        if command.serves:
            with serving(text):
                time.sleep(0.2)
            continue
        started = time.monotonic()
        done = shell(text)
        told.append(f"{time.monotonic() - started:6.1f} s  {text}")
        assert done.returncode == command.code, f"{text}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
        assert "Traceback" not in done.stderr, done.stderr
    print(*told, sep="\n")


@pytest.mark.nightly
@pytest.mark.parametrize(
    "page", [page for page in PAGES if blocks(page)], ids=lambda page: page.relative_to(ROOT).as_posix()
)
def test_every_command_of_a_page_does_what_it_says(page: Path, place: Path) -> None:
    """In the order of the page, in one folder; what the page takes for granted is there before."""
    name = page.relative_to(ROOT).as_posix()
    written(page)
    carry_out([Command(text) for text in BEFORE.get(name, ())])
    if name == "docs/offline.md":
        walk_offline(blocks(page))
        return
    for group in blocks(page):
        carry_out(group)


def walk_offline(page: list[list[Command]]) -> None:
    """The page with two terminals: the server's first, and what the reader does in the second one meanwhile."""
    (server,), reader, servers, (real,), (best, *others) = page
    variables, *rest = reader
    with serving(server.text):
        done = shell(" && ".join([variables.text, *(command.text for command in rest)]))
        assert (done.returncode, done.stdout) == (0, "ibm_torino\n"), done.stderr
        for command in (real, best):  # as the page advises
            rehearsed = shell(f"{variables.text} && {command.text} optimizer.max_evaluations=5")
            assert rehearsed.returncode == 0, rehearsed.stderr
    carry_out(servers + others)


@pytest.mark.nightly
@pytest.mark.parametrize("preset", sorted((CONF / "experiment").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_preset_is_run_by_the_command_in_its_first_lines(preset: Path, place: Path) -> None:
    """As it stands, figures and all."""
    command = Command(preset.read_text("utf-8").splitlines()[2].removeprefix("# "))
    assert command.text.startswith("python -m runner experiment=")

    carry_out([command])


def test_little_is_left_out() -> None:
    """What cannot run here is a handful, and each of the reasons is still needed."""
    everything = [command for page in PAGES for group in blocks(page) for command in group]
    left_out = [command for command in everything if command.reason]

    assert len(everything) > 45
    assert len(left_out) <= 11
    for part in CANNOT_RUN:
        assert any(part in command.text for command in everything), part

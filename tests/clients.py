"""What of the runner works with which release of qiskit-ibm-runtime: `python -m tests.clients [0.43 0.51 …]`.

Every minor release gets an environment of its own, which takes all other packages from the present one except the
parts that the client pins. Three things are tried in it: the mitigation adapter's contract, the reader's program
against `runner serve`, and `backend=ibm` against the same server. What broke is told by its first line.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from tests.serve.serving import process

ROOT = Path(__file__).parents[1]
CLIENT = "qiskit-ibm-runtime"
OWN_PARTS = ("samplomatic", "qiskit-mitigation", "qiskit-noise-learning", "ibm-quantum-schemas", "pybase64")
"""Dependencies that follow the client's release."""
WORKS = "works"
CONTRACT = ("tests/mitigation/test_client.py", "tests/mitigation/test_received.py")
PROGRAM = """
from qiskit import QuantumCircuit
from qiskit.quantum_info import SparsePauliOp
from qiskit.transpiler import generate_preset_pass_manager
from qiskit_ibm_runtime import EstimatorV2, QiskitRuntimeService, SamplerV2, Session

backend = QiskitRuntimeService().least_busy(operational=True, simulator=False)
bell = QuantumCircuit(2)
bell.h(0)
bell.cx(0, 1)
isa = generate_preset_pass_manager(1, backend=backend).run(bell)
with Session(backend) as session:
    estimator = EstimatorV2(options={"resilience_level": 2})
    value = estimator.run([(isa, SparsePauliOp("ZZ").apply_layout(isa.layout))]).result()[0].data.evs
    isa.measure_all()
    counts = SamplerV2().run([isa], shots=100).result()[0].data.meas.get_counts()
assert abs(value - 1) < 0.2, value
assert sum(counts.values()) == 100, counts
"""
"""A reader's program: a session, an Estimator at level 2 and a Sampler."""
RUN = (
    "-m", "runner", "experiment=vqe", "backend=ibm", "backend.name=ibmq_manila", "optimizer.max_evaluations=2",
    "ansatz.reps=1", "estimator.default_shots=100", "tracking=off", "run.figures=false",
)  # fmt: skip


@dataclass(frozen=True)
class Verdict:
    """What was found of one release."""

    version: str
    """The release."""
    adapter: str
    """`works`, or what broke."""
    program: str
    """The same of a reader's program against `serve`."""
    ibm: str
    """The same of `backend=ibm`."""

    def row(self) -> str:
        """A line of the table in docs/offline.md."""
        return f"| {self.version} | {self.adapter} | {self.program} | {self.ibm} |"


def minors(allowed: SpecifierSet) -> list[str]:
    """The newest release of each minor that there is in a range, the oldest first."""
    told = _output([sys.executable, "-m", "pip", "index", "versions", CLIENT])
    listed = re.search(r"^Available versions: (.*)$", told, flags=re.MULTILINE)
    assert listed is not None, told
    newest: dict[tuple[int, ...], Version] = {}
    for text in listed[1].split(", "):
        version = Version(text)
        if version in allowed:
            minor = version.release[:2]
            newest[minor] = max(newest.get(minor, version), version)
    return [str(newest[minor]) for minor in sorted(newest)]


def allowed() -> SpecifierSet:
    """The range of pyproject.toml."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return next(
        found.specifier for found in map(Requirement, project["dependencies"]) if found.name == CLIENT
    )


def _output(command: Sequence[str | Path]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=600).stdout


@contextmanager
def environment(version: str) -> Iterator[Path]:
    """An interpreter that has this release of the client, and otherwise what the present one has."""
    with tempfile.TemporaryDirectory(prefix=f"client-{version}-") as name:
        folder = Path(name)
        _output([sys.executable, "-m", "venv", folder])
        python = folder / "bin" / "python"
        own = Path(_output([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]).strip())
        _install(own, f"{CLIENT}=={version}")
        told = next(own.glob("qiskit_ibm_runtime-*.dist-info/METADATA")).read_text(encoding="utf-8")
        for text in re.findall(r"^Requires-Dist: (.*)$", told, flags=re.MULTILINE):
            requirement = Requirement(text)
            if requirement.marker is None and requirement.name in OWN_PARTS:
                _install(own, f"{requirement.name}{requirement.specifier}")
        inherited = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
        (own / "inherited.pth").write_text("\n".join(inherited), encoding="utf-8")
        yield python


def _install(folder: Path, what: str) -> None:
    _output(
        [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--upgrade",
            "--target",
            folder,
            what,
        ]
    )


def tried(command: Sequence[str | Path], variables: dict[str, str], say: Callable[[str], str]) -> str:
    """`works`, or what a command's output says of why it does not."""
    given = {name: value for name, value in os.environ.items() if not name.startswith("QISKIT_IBM")}
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**given, **variables},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    return WORKS if done.returncode == 0 else say(done.stdout + done.stderr)


def last_error(output: str) -> str:
    """The line that names the error, without what only this machine has in it."""
    named = re.compile(r"(\w+\.)*\w*(Error|Exception)\b|error: |experiment +\w+: (failed|stopped)")
    lines = [line for line in output.splitlines() if named.match(line)]
    text = (lines or output.strip().splitlines() or ["no output"])[-1]
    return " ".join(text.replace("|", "/").split())[:160]


def failed_tests(output: str) -> str:
    """How many tests failed, and the first error."""
    count = re.search(r"(\d+) failed", output)
    first = re.search(r"^E +(.*)$", output, flags=re.MULTILINE)
    told = first[1] if first else last_error(output)
    return f"{count[1] if count else 'no'} tests failed: {' '.join(told.replace('|', '/').split())[:120]}"


def verdict(version: str, variables: dict[str, str], folder: Path) -> Verdict:
    """Try one release against a running server.

    Args:
        version: the release.
        variables: with which a client finds the server.
        folder: for what a run writes.
    """
    with environment(version) as python:
        pytest = ("-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider")
        adapter = tried([python, *pytest, *CONTRACT], {}, failed_tests)
        program = tried([python, "-W", "ignore", "-c", PROGRAM], variables, last_error)
        level = "level1" if adapter == WORKS else "level0"
        run = (*RUN, f"estimator={level}", f"hydra.run.dir={folder / version}")
        ibm = tried([python, *run], variables, last_error)
        return Verdict(version, adapter, program, ibm + (", at level 0" if ibm == WORKS != adapter else ""))


def verdicts(versions: Sequence[str]) -> Iterator[Verdict]:
    """Try releases one after the other against one server of this environment's own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with process(folder / "serve", "backend=fake_manila", "session.clock=virtual") as (_, variables):
            for version in versions:
                yield verdict(version, variables, folder)


def main(words: Sequence[str]) -> None:
    """Print the table, of all minors in range or of those that are named."""
    known = minors(allowed())
    chosen = [one for one in known if not words or any(one.startswith(f"{word}.") for word in words)]
    print("| client | mitigation adapter | a program against `serve` | `backend=ibm` |\n|---|---|---|---|")
    for found in verdicts(chosen):
        print(found.row(), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])

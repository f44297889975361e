"""What somebody else made, a file or a run directory, is refused in one line where it cannot be read: never a hang."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
import yaml
from qiskit import QuantumCircuit, QuantumRegister, qpy
from qiskit.circuit import Parameter

from runner import compose, run
from runner.__main__ import main
from runner.declare.foreign import load_npy
from runner.errors import ConfigError, JournalError
from runner.record import files
from runner.record.encoding import require_shallow
from runner.record.files import read_mapping, read_rows, require_short
from runner.record.journal import Journal
from runner.record.reading import read_result
from runner.tracking.report import UploadState
from tests.journals import plain

QUIET = ("run.figures=false", "tracking=off")


@pytest.fixture(autouse=True)
def patience() -> Iterator[None]:
    """Whoever waits for a pipe is woken after a while, and the test fails."""

    def give_up(_signum: int, _frame: FrameType | None) -> None:
        raise TimeoutError("somebody waits for a pipe")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(120)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def make_socket(path: Path) -> None:
    """A socket in the file system."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


ODD: dict[str, Callable[[Path], object]] = {
    "pipe": os.mkfifo,
    "socket": make_socket,
    "folder": Path.mkdir,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "endless": lambda path: path.symlink_to("/proc/kmsg"),
}


WORDS = [
    ["hamiltonian=file", "hamiltonian.path=odd"], ["ansatz=file", "ansatz.path=odd"], ["inspect", "odd"],
    ["hamiltonian=file", "hamiltonian.path=odd", "hamiltonian.format=fcidump"], ["ansatz.initial=odd"],
    ["hamiltonian=maxcut", "hamiltonian.path=odd"], ["hamiltonian=qubo", "hamiltonian.path=odd"],
    ["hamiltonian=molecule", "hamiltonian.xyz_file=odd"],
    *([verb, "odd"] for verb in ("resume", "retime", "report", "export", "sync", "compare", "watch")),
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "words"),
    [(kind, words) for kind in ODD for words in (WORDS if kind == "pipe" else WORDS[:3])],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_K16_pipes_and_devices_are_refused(
    workdir: Path, capsys: pytest.CaptureFixture[str], kind: str, words: list[str]
) -> None:
    """As the value of every key that takes a path, and as the argument of every verb: exit 2, nothing created."""
    ODD[kind](Path("odd"))
    options = (
        []
        if words[0] in ("inspect", "resume", "retime", "report", "export", "sync", "compare", "watch")
        else QUIET
    )
    assert main([*words, *options]) == 2
    assert capsys.readouterr().err.count("\n") <= 2
    assert [path.name for path in workdir.iterdir()] == ["odd"]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run that finished."""
    folder = tmp_path_factory.mktemp("recorded") / "run"
    run(compose("optimizer.max_evaluations=3", *QUIET), directory=str(folder))
    return folder


QUICK = [
    ["retime", "run"],
    ["export", "run", "--format=csv"],
    ["compare", "run", "run"],
    ["watch", "run"],
    ["list"],
    ["sessions"],
]
SLOW = [
    ["resume", "run"],
    ["report", "run"],
    ["export", "run", "--format=qpy", "--bound", "-o", "out"],
    ["sync", "run"],
]
FILES = ["journal.jsonl", "config.yaml", "result.json", "session.json", "mlflow.json"]


def assert_in_words(
    recorded: Path,
    file: str,
    make: Callable[[Path], object],
    words: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A verb ends with at most one line when a file of the run directory is something else."""
    place = Path("outputs/runs/run") if words in (["list"], ["sessions"]) else Path("run")
    shutil.copytree(recorded, place)
    (place / file).unlink(missing_ok=True)
    make(place / file)
    assert main(words) in (0, 1, 2, 4), words
    error = capsys.readouterr().err
    assert "Traceback" not in error, words
    assert sum(line.startswith("error") for line in error.splitlines()) <= 1
    shutil.rmtree(place)


def test_K16_a_received_run_with_a_pipe_in_it_hangs_nobody(
    recorded: Path, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each file of a run directory as a pipe."""
    for words in QUICK:
        for file in FILES:
            assert_in_words(recorded, file, os.mkfifo, words, capsys)
    for words in SLOW[:2]:
        assert_in_words(recorded, "journal.jsonl", os.mkfifo, words, capsys)


@pytest.mark.nightly
@pytest.mark.parametrize("words", SLOW, ids=lambda words: words[0])
def test_K16_a_received_run_with_a_pipe_in_it_hangs_nobody_whatever_the_verb(
    recorded: Path, workdir: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    """The verbs that draw, simulate and upload, each with each file as a pipe."""
    for file in FILES:
        assert_in_words(recorded, file, os.mkfifo, words, capsys)


DAMAGED = {
    "deep": b'{"a":' + b"[" * 100_000,
    "list": b"[1]",
    "text": b"\xff\xfe{",
    "empty": b"",
    "wrong": b'{"status": {}, "sessions": 3, "energy": []}',
    "bomb": b"a: &a [x, x, x, x, x, x, x, x, x]\n"
    + b"".join(b"%c: &%c [%s]\n" % (98 + i, 98 + i, b", ".join([b"*%c" % (97 + i)] * 9)) for i in range(12)),
}


@pytest.mark.parametrize(
    "damage",
    [pytest.param(name, marks=pytest.mark.nightly if name in ("list", "empty") else ()) for name in DAMAGED],
)
def test_K17_damaged_files_of_a_received_run_are_one_line(
    recorded: Path, workdir: Path, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    """Nested a hundred thousand deep, of another type, no text, an alias bomb: at most one line.

    Of the verbs and files every third pair, each damage beginning at another one; at night all of them.
    """
    pairs = list(itertools.product(QUICK, FILES[1:]))
    for words, file in pairs[list(DAMAGED).index(damage) % 3 :: 3]:
        assert_in_words(recorded, file, lambda path: path.write_bytes(DAMAGED[damage]), words, capsys)


@pytest.mark.nightly
@pytest.mark.parametrize("words", [*QUICK, *SLOW], ids=lambda words: words[0])
@pytest.mark.parametrize("damage", DAMAGED)
def test_K17_damaged_files_of_a_received_run_are_one_line_whatever_the_verb(
    recorded: Path, workdir: Path, capsys: pytest.CaptureFixture[str], damage: str, words: list[str]
) -> None:
    """Those that draw, simulate and upload, too."""
    for file in FILES[1:]:
        assert_in_words(recorded, file, lambda path: path.write_bytes(DAMAGED[damage]), words, capsys)


def npy(array: np.ndarray) -> bytes:
    """As NumPy writes it."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<f8", ">f8", "<c16", "u1", "?", "<i4"])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3), (2, 0, 3)])
def test_K17_arrays_are_read_as_numpy_reads_them(order: str, dtype: str, shape: tuple[int, ...]) -> None:
    """Against numpy.load, which made the same bytes."""
    array = np.asarray(np.arange(np.prod(shape, dtype=int)).reshape(shape), dtype=dtype, order=order)
    found = load_npy(npy(array), "it", "k")
    expected = np.load(io.BytesIO(npy(array)))
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    "content",
    [
        npy(np.array([print], dtype=object)),
        npy(np.array(["x"])),
        npy(np.zeros(2, dtype=[("a", "f8")])),
        npy(np.zeros(4))[:-1],
        npy(np.zeros(4)) + b"x",
        npy(np.zeros(4)).replace(b"(4,)", b"(9999999999999,)"),
        npy(np.zeros(4)).replace(b"(4,), }         ", b"(-4,), }        "),
        b"\x93NUMPY\x09\x00",
        b"",
    ],
    ids=range(9),
)
def test_K17_arrays_of_anything_but_the_claimed_numbers_are_refused(content: bytes) -> None:
    """Pickles, texts, records, and headers that claim what is not there: nothing is allocated or unpickled."""
    with pytest.raises(ConfigError, match=r"^k: it "):
        load_npy(content, "it", "k")


def test_K17_a_journal_line_without_end_is_not_kept(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Longer than any line of ours: the reader stops there, and says so."""
    from runner.record import journal

    Path("run").mkdir()
    Path("run/journal.jsonl").write_bytes(b"x" * 5_000_000)
    monkeypatch.setattr(journal, "MAX_LINE", 1 << 20)
    contents = journal.read_journal("run/journal.jsonl")
    assert list(contents.events) == []
    assert "longer than" in (contents.dropped or "")


def test_K17_large_files_are_not_read(workdir: Path) -> None:
    """A file with more than the bound, of which the disk holds nothing."""
    with Path("large").open("wb") as file:
        file.truncate(files.MAX_BYTES + 1)
    with pytest.raises(ConfigError, match="larger than"):
        files.read_object("large")


OWN = {
    "serve/ledger.py", "serve/server.py", "serve/devices.py", "cli/manual.py", "engine/memory.py", "record/faults.py",
    "record/environment.py", "record/redaction.py", "declare/foreign.py", "record/directory.py", "serve/programs.py",
    "serve/page.py", "serve/summary.py",
}  # fmt: skip
"""Modules that read /proc, installed packages, the user's own accounts, or what the same process writes; the
two that load QPY behind a process with limits; and the one that loads again what these let through."""


def test_K16_files_are_opened_in_one_place() -> None:
    """`runner/record/files.py` alone opens what may be somebody else's: nobody reads past it."""
    root = Path(__file__).parents[1]
    reads = re.compile(
        r"\.read_text\((encoding|\))|\.read_bytes\(\)|(?<![\w.])open\(|\.open\(\"r|(np|qpy)\.load\("
    )
    found = {
        f"{path.relative_to(root / 'runner')}"
        for path in (root / "runner").rglob("*.py")
        if reads.search(re.sub(r"def open\(", "", path.read_text(encoding="utf-8")))
    }

    assert found - OWN == set()


def forged(folder: Path, change: Callable[[list[dict]], object]) -> None:
    """Change what a journal says, with checksums that are right."""
    path = folder / "journal.jsonl"
    facts = [json.loads(line) for line in path.read_bytes().splitlines()]
    change(facts)
    crc, lines = 0, []
    for fact in facts:
        fact.pop("crc", None)
        line = json.dumps(fact, separators=(",", ":"), ensure_ascii=False).encode()[:-1]
        crc = zlib.crc32(line, crc)
        lines.append(line + b',"crc":"%08x"}\n' % crc)
    path.write_bytes(b"".join(lines))


def everywhere(name: str, value: object) -> Callable[[list[dict]], object]:
    """Give a field, and an entry of a field, another value wherever there is one of that name."""

    def change(facts: list[dict]) -> None:
        for fact in facts:
            for holder in (fact, *(one for one in fact.values() if isinstance(one, dict))):
                if name in holder:
                    holder[name] = value

    return change


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kind", []), ("t", "x"), ("t", 1e300), ("circuits", 5), ("table", [[1]]), ("usage_seconds", "9" * 50),
        ("overrides", "x"), ("energy", "x"), ("parameter_names", {"a": 1}), ("schemas", {"session": 5}),
        ("experiment", {"_target_": "os.system"}),
    ],
)  # fmt: skip
def test_K17_a_journal_that_says_another_type_is_one_line(
    recorded: Path, workdir: Path, capsys: pytest.CaptureFixture[str], name: str, value: object
) -> None:
    """With the right checksums: whoever reads it says so, or does not look at it."""
    shutil.copytree(recorded, "run")
    (Path("run") / "result.json").unlink()
    forged(Path("run"), everywhere(name, value))
    for words in (["retime", "run"], ["watch", "run"], ["export", "run", "--format=csv"]):
        main(words)
        error = capsys.readouterr().err
        assert "Traceback" not in error, words
        assert sum(line.startswith("error") for line in error.splitlines()) <= 1


@pytest.mark.parametrize("words", [["retime", "run"], ["watch", "run"], ["report", "run"], ["resume", "run"]])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("finished", 10**400),
        ("time", "inf"),
        ("time", -(10**400)),
        ("qpu_seconds", 10**400),
        ("index", 2**63),
    ],
    ids=["finished", "inf", "time", "qpu", "index"],
)
def test_K17_numbers_of_a_journal_that_are_none_of_a_run_are_one_line(
    recorded: Path,
    workdir: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    name: str,
    value: object,
) -> None:
    """Larger than a float, or than any count; with the right checksums: exit 2, and the journal stays as it was."""
    shutil.copytree(recorded, "run")
    for result in ("result.json", "session.json"):
        (Path("run") / result).unlink()
    forged(Path("run"), everywhere(name, value))
    before = Path("run/journal.jsonl").read_bytes()
    code = main(words)
    error = capsys.readouterr().err

    assert code == 2
    assert "Traceback" not in error
    assert len([line for line in error.splitlines() if line.startswith("error: ")]) == 1
    assert Path("run/journal.jsonl").read_bytes().startswith(before)


@pytest.mark.parametrize(
    "value",
    [10**400, 1, "x", True, [10**400], [[1.0], [1.0, 2.0]], {"bits": 1}],
    ids=["large", "whole", "text", "truth", "list", "ragged", "bits"],
)
def test_K17_a_result_of_a_journal_that_is_no_array_ends_a_resume_in_one_line(
    recorded: Path, workdir: Path, capsys: pytest.CaptureFixture[str], value: object
) -> None:
    """Energies of another type in an unfinished run: nothing is taken for its end."""
    shutil.copytree(recorded, "run")

    def change(facts: list[dict]) -> None:
        for fact in facts:
            for numbers in fact.get("result") or () if fact["kind"] == "job.completed" else ():
                numbers["evs"] = value
        del facts[-2:]

    forged(Path("run"), change)

    assert main(["resume", "run"]) == 2
    error = capsys.readouterr().err
    assert "result" in error
    assert error.count("error: ") == 1
    assert b"run.ended" not in Path("run/journal.jsonl").read_bytes()


DEEP, WALKED = "[" * 100_000 + "]" * 100_000, "[" * 500 + "]" * 500
"""What no parser reads, and what is read and then walked through."""


@pytest.mark.parametrize(
    ("verb", "nested"),
    [
        *((verb, DEEP) for verb in ("retime", "watch", "report", "sync", "resume")),
        *((verb, WALKED) for verb in ("retime", "watch", "resume")),
        *(pytest.param(verb, WALKED, marks=pytest.mark.nightly) for verb in ("report", "sync")),
    ],
    ids=lambda value: {DEEP: "deep", WALKED: "walked"}.get(value, value),
)
def test_K17_a_line_of_a_journal_that_is_nested_without_end_ends_what_is_believed(
    recorded: Path, workdir: Path, capsys: pytest.CaptureFixture[str], verb: str, nested: str
) -> None:
    """With the right checksums, in the first evaluation: one line says which line it is, and nobody walks into it."""
    shutil.copytree(recorded, "run")
    forged(Path("run"), lambda facts: facts[-3].update(x="HERE"))
    path = Path("run/journal.jsonl")
    crc, lines = 0, []
    for line in path.read_bytes().splitlines():
        body = line[: -len(b',"crc":"01234567"}')].replace(b'"HERE"', nested.encode())
        crc = zlib.crc32(body, crc)
        lines.append(body + b',"crc":"%08x"}\n' % crc)
    path.write_bytes(b"".join(lines))
    main([verb, "run"])
    said = capsys.readouterr()

    assert "Traceback" not in said.err
    assert "recursion" not in (said.err + said.out).lower()
    assert sum(line.startswith("error") for line in said.err.splitlines()) <= 1


def test_K17_a_nested_line_is_told_from_one_with_many_brackets() -> None:
    """Levels are counted, not brackets, nor those within texts."""
    require_shallow(b'{"a":[' + b"[1,2]," * 500 + b"[3]]}")
    require_shallow(b'{"a":"' + b"[" * 500 + b'","b":"\\"' + b"{" * 500 + b'"}')
    for nested in (b"[" * 200 + b"]" * 200, b'{"a":' * 200 + b"1" + b"}" * 200, b"[" * 200):
        with pytest.raises(ValueError, match="nested"):
            require_shallow(b'{"x":' + nested + b"}")


def test_K17_numbers_of_a_result_that_are_none_of_a_run_are_refused(recorded: Path, workdir: Path) -> None:
    """An energy that no float holds, and a time that never ends, which JSON of Python's may say."""
    content = (recorded / "result.json").read_text(encoding="utf-8")
    for name, value in {"energy": "1" + "0" * 400, "usage_seconds": "Infinity", "cost": "NaN"}.items():
        Path("result.json").write_text(re.sub(rf'"{name}": [^,]+', f'"{name}": {value}', content))
        with pytest.raises(ConfigError, match=rf"damaged .{name} is (a number of 1329 bits|inf|nan), not "):
            read_result(Path("result.json"))


@pytest.mark.parametrize(("name", "value"), [("qubits", 9), ("terms", 1), ("reference_energy", -3.5)])
def test_another_problem_than_the_journal_tells_is_not_gone_on_with(
    recorded: Path, workdir: Path, capsys: pytest.CaptureFixture[str], name: str, value: object
) -> None:
    """The message has the field, what is recorded and what is found now."""
    shutil.copytree(recorded, "run")
    found = {}

    def change(facts: list[dict]) -> None:
        (problem,) = (fact for fact in facts if fact["kind"] == "problem")
        found["now"], problem[name] = problem[name], value
        del facts[-2:]

    forged(Path("run"), change)

    assert main(["resume", "run"]) == 2
    error = capsys.readouterr().err
    assert f"problem differs from the journal at {name!r}: recorded {value}, now {found['now']}" in error


def test_a_pipe_in_the_place_of_a_journal_is_called_what_it_is(
    workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not that there is none."""
    Path("run").mkdir()
    os.mkfifo("run/journal.jsonl")

    assert main(["watch", "run"]) == 2
    assert "run/journal.jsonl is no ordinary file" in capsys.readouterr().err


GREEDY = 'OPENQASM 3.0; include "stdgates.inc"; qubit q; for int i in [0:100000000] { x q; }'
TANGLED = "OPENQASM 3.0; qubit q; " + "if (true) " * 60 + "U(0,0,0) q; " + "else U(0,0,0) q; " * 60


@pytest.mark.parametrize(
    "circuits",
    [
        {"declared": {"gates": 1, "qasm": GREEDY}}, {"declared": {"gates": 1, "qasm": TANGLED}},
        {"declared": {"gates": "x", "qasm": "x"}}, {"declared": {"qasm": 5}}, {"another": {"gates": 1, "qasm": "x"}},
        {"declared": {"gates": 1, "qasm": "OPENQASM 3.0; include \"secret.inc\"; qubit q;"}},
    ],
    ids=["greedy", "tangled", "types", "half", "another", "includes"],
)  # fmt: skip
def test_K17_a_circuit_of_a_journal_is_read_within_limits_or_not_drawn(
    recorded: Path, workdir: Path, capsys: pytest.CaptureFixture[str], circuits: dict
) -> None:
    """With the right checksums: the page has everything else."""
    shutil.copytree(recorded, "run")
    Path("secret.inc").write_text("gate secret a {}\n")
    forged(Path("run"), everywhere("circuits", circuits))
    assert main(["report", "run"]) == 0
    assert not Path("run/figures/circuit.png").exists()
    main(["export", "run", "--format=csv"])
    assert "Traceback" not in capsys.readouterr().err


def test_K16_a_directory_with_something_else_in_it_is_refused(
    recorded: Path, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Pipes in the place of files, a pipe and a link in that of the pictures' folder: nothing is written there."""
    Path("elsewhere").mkdir()
    odd: list[tuple[str, Callable[[Path], object]]] = [
        *((name, os.mkfifo) for name in ("runner.log", "forecast.json", "report.html", "figures")),
        ("figures", lambda path: path.symlink_to(Path("elsewhere").resolve())),
    ]
    for name, make in odd:
        shutil.copytree(recorded, "run")
        shutil.rmtree("run/figures", ignore_errors=True)
        (Path("run") / name).unlink(missing_ok=True)
        make(Path("run") / name)
        assert main(["report", "run"]) == 2
        assert f"run/{name} is no" in capsys.readouterr().err
        shutil.rmtree("run")
    assert list(Path("elsewhere").iterdir()) == []


MOVING = "\x1b[2A\x1b[Kenergy  -0.702930\x1b[8m\x1b[32m\r\n[conceal]finished[/]"
"""Up two lines, one cleared, what follows hidden, green, at the start of another line, and hidden by markup."""


def require_written_out(said: str, where: object = "") -> None:
    """It holds nothing that a terminal or a console obeys, and no traceback."""
    assert not set(said) & {"\x1b", "\r"}, (where, said)
    assert "\n[conceal]" not in said, (where, said)
    assert "Traceback" not in said, (where, said)


def retold(folder: Path, **changes: object) -> None:
    """Change what a run tells as its result, in result.json and in the journal."""
    content = json.loads((folder / "result.json").read_text(encoding="utf-8")) | changes
    (folder / "result.json").write_text(json.dumps(content), encoding="utf-8")

    def change(facts: list[dict]) -> None:
        (fact,) = (fact for fact in facts if fact["kind"] == "result")
        fact["result"] |= changes

    forged(folder, change)


@pytest.mark.parametrize(
    "words",
    [["watch", "run"], ["compare", "run", "run"], ["sessions", "."]],
    ids=lambda words: words[0],
)
def test_K19_no_value_moves_the_cursor_or_has_a_colour(
    recorded: Path, workdir: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    """In every text of result.json and session.json what our own console writes, too: all of it is to be read."""
    shutil.copytree(recorded, "run")
    retold(
        Path("run"),
        **dict.fromkeys(("experiment", "stop_reason", "reference_note", "energy_kind"), MOVING),
    )
    sessions = json.loads(Path("run/session.json").read_text(encoding="utf-8"))
    for one in sessions["sessions"]:
        one |= {"reason": MOVING, "backend": MOVING}
    Path("run/session.json").write_text(json.dumps(sessions), encoding="utf-8")
    assert main(words) == 0
    said = capsys.readouterr().out

    assert "\\x1b[2A\\x1b[Kenergy" in said
    assert "\\r\\n[conceal]" in said.replace("\n", "").replace(" ", "")
    assert not set(said) & {"\x1b", "\r"}


def texts(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where there are texts in it."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inside:
        yield from texts(one, (*place, key))
    if isinstance(value, str):
        yield place


def moved(value: Any, place: tuple[Any, ...]) -> None:
    """Let the text in this place be `MOVING`, where there is one."""
    for key in place[:-1]:
        value = value[key] if isinstance(value, list) or key in value else {}
    if isinstance(value, list) or place[-1] in value:
        value[place[-1]] = MOVING


@pytest.mark.parametrize("every", [15, pytest.param(5, marks=pytest.mark.nightly)])
@pytest.mark.parametrize("verb", ["retime", "resume", "sync"])
def test_K19_no_text_of_a_journal_or_a_configuration_moves_the_cursor(
    recorded: Path,
    workdir: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    empty_store: Callable[[Path], None],
    verb: str,
    every: int,
) -> None:
    """Some texts, each alone, with checksums that are right; said is one line or the verb's own table."""
    monkeypatch.setenv("COLUMNS", "300")
    empty_store(workdir / "mlflow.db")
    store = [f"tracking.uri=sqlite:///{workdir}/mlflow.db"] if verb == "sync" else []
    facts = [json.loads(line) for line in (recorded / "journal.jsonl").read_bytes().splitlines()]
    config = yaml.safe_load((recorded / "config.yaml").read_text(encoding="utf-8"))
    places = {(fact["kind"], *place) for fact in facts for place in texts(fact)}
    places |= {(None, *place) for place in texts(config)}
    for place in sorted(places, key=str)[len(verb) % 5 :: every]:
        shutil.copytree(recorded, "run")
        if place[0] is None:
            changed = json.loads(json.dumps(config))
            moved(changed, place[1:])
            Path("run/config.yaml").write_text(yaml.safe_dump(changed), encoding="utf-8")
        else:
            forged(
                Path("run"),
                lambda facts, place=place: [
                    moved(fact, place[1:]) for fact in facts if fact["kind"] == place[0]
                ],
            )
        code = main([verb, "run", *store])
        said = "".join(capsys.readouterr())
        assert code in (0, 1, 2, 4), (place, said)
        require_written_out(said, place)
        shutil.rmtree("run")


@pytest.mark.parametrize(
    ("verb", "place", "told"),
    [
        ("retime", ("job.submitted", "job"), "is submitted twice in the journal; it is damaged"),
        ("retime", ("run.started", "schemas", "session"), "session.schema: unknown choice"),
        ("resume", ("run.started", "kind"), "does not begin with what was declared; it is damaged"),
    ],
    ids=["twice", "schema", "headless"],
)
def test_K17_a_journal_of_no_run_is_one_line(
    recorded: Path,
    workdir: Path,
    capsys: pytest.CaptureFixture[str],
    verb: str,
    place: tuple[str, ...],
    told: str,
) -> None:
    """Texts that are a text's, with checksums that are right, of which no run can be made."""
    shutil.copytree(recorded, "run")
    forged(Path("run"), lambda facts: [moved(fact, place[1:]) for fact in facts if fact["kind"] == place[0]])
    assert main([verb, "run"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert told in said


@pytest.mark.parametrize(
    ("terms", "settings"),
    [
        ("XX 0.5\nZZ 1\n", "name: "),
        (f"# {MOVING}\nXX 0.5\n", ""),
        (f"XX {MOVING}\n", ""),
        ("XX 0.5\n", "reference_energy: "),
    ],
    ids=["name", "comment", "number", "setting"],
)
def test_K19_forecast_writes_out_what_files_hold(
    workdir: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    terms: str,
    settings: str,
) -> None:
    """A file of terms whose name moves the cursor, and somebody else's choice that holds such texts."""
    monkeypatch.setenv("COLUMNS", "300")
    file = workdir / (MOVING.replace("/", "") + ".txt")
    file.write_text(terms)
    choice = workdir / "theirs" / "hamiltonian" / "mine.yaml"
    choice.parent.mkdir(parents=True)
    values = f"path: {json.dumps(str(file))}\n" + (settings and settings + json.dumps(MOVING) + "\n")
    choice.write_text(f"defaults:\n  - /schema/hamiltonian/pauli_file@_here_\n  - _self_\n{values}")
    code = main(["forecast", "--config-dir", "theirs", "hamiltonian=mine", "ansatz=efficient_su2"])
    said = "".join(capsys.readouterr())

    assert code in (0, 2), said
    assert said
    require_written_out(said)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (f"{MOVING}.txt".replace("/", ""), b"XX 0.5\n"),
        (f"{MOVING}.txt".replace("/", ""), b"XQ 0.5\n"),
        ("words.json", json.dumps({MOVING: 1.0, "XX": 0.5}).encode()),
        ("qubo.json", json.dumps({"linear": {MOVING: 1.0}, "quadratic": [[MOVING, "b", 2.0]]}).encode()),
        ("graph.json", json.dumps({"nodes": [{"id": MOVING}], "links": [{"source": MOVING, "target": 1}]}).encode()),
        ("water.xyz", f"1\n{MOVING}\nHe 0 0 0\n".encode()),
        ("water.xyz", f"1\nwater\n{MOVING} 0 0 0\n".encode()),
        ("lines.txt", f"# {MOVING}\nXX 0.5 {MOVING}\n".encode()),
        ("one.qasm", f'OPENQASM 2.0;\ninclude "{MOVING}";\nqreg q[1];\n'.encode()),
        ("one.qasm", f"OPENQASM 3.0;\n// {MOVING}\nqubit[1] q;\nfoo {MOVING} q[0];\n".encode()),
        ("FCIDUMP", f" &FCI NORB= {MOVING},NELEC= 2,\n &END\n".encode()),
        ("circuit.qpy", None),
    ],
)  # fmt: skip
def test_K19_inspect_writes_out_what_a_file_and_its_name_hold(
    workdir: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    content: bytes | None,
) -> None:
    """Names of circuits, registers and parameters, comments, labels, and what is wrong with a file."""
    monkeypatch.setenv("COLUMNS", "300")
    if content is None:
        circuit = QuantumCircuit(QuantumRegister(1, MOVING), name=MOVING, metadata={MOVING: MOVING})
        circuit.rx(Parameter(MOVING), 0)
        inner = QuantumCircuit(1, name=MOVING)
        circuit.append(inner.to_gate(), [0])
        with open(name, "wb") as file:
            qpy.dump(circuit, file)
    else:
        Path(name).write_bytes(content)
    code = main(["inspect", name])
    said = "".join(capsys.readouterr())

    assert code in (0, 2), said
    assert said
    require_written_out(said)


def test_K19_a_terminal_has_our_own_colours_and_nothing_of_a_value(recorded: Path, workdir: Path) -> None:
    """`watch` in a terminal of 80 columns: bold names, and no sequence that our console does not write there."""
    shutil.copytree(recorded, "run")
    retold(Path("run"), reference_note=MOVING, experiment=MOVING)
    ours, theirs = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "80", "NO_COLOR": ""}
    process = subprocess.Popen(
        [sys.executable, "-m", "runner", "watch", "run"], stdout=theirs, stderr=theirs, env=environment
    )
    os.close(theirs)
    said = b""
    with contextlib.suppress(OSError):  # what Linux says at the end
        while part := os.read(ours, 65536):
            said += part
    os.close(ours)

    assert process.wait() == 0
    assert b"\x1b[1m" in said
    assert b"\\x1b[2A" in said
    assert re.search(rb"\x1b\[(8|2A|32)", said) is None


def test_K19_what_a_terminal_obeys_is_written_out(
    recorded: Path, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Keys and values of a table with sequences that clear the screen and name its window."""
    evil = "\x1b[2J\x1b]0;x\x07\x1b[31m"
    shutil.copytree(recorded, "run")
    retold(Path("run"), table=[{evil: evil, "a": 1}], stop_reason=evil)
    main(["watch", "run"])
    said = "".join(capsys.readouterr())

    assert "\\x1b[2J" in said
    assert "\x1b[2J" not in said
    assert "\x1b]" not in said
    assert "\x07" not in said


@pytest.mark.parametrize("name", ["journal.jsonl", "journal.jsonl.gz"])
def test_K16_nothing_is_written_through_a_journal_that_is_a_link(
    name: str, recorded: Path, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever made the directory chose where the link leads; the file there stays as it is."""
    shutil.copytree(recorded, "run")
    journal = plain(Path("run"))
    journal = journal.rename("victim")
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[: len(lines) // 2]))
    before = journal.read_bytes()
    Path("run/result.json").unlink()
    (Path("run") / name).symlink_to(journal.resolve())

    assert main(["resume", "run"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert journal.read_bytes() == before
    with pytest.raises(JournalError, match=f"{re.escape(name)} is a link, through which nothing is written"):
        Journal.append_to("run/journal.jsonl")


VALUES: list[object] = [
    None, True, -1, 0, 2**63, 10**60, 10**5000, 0.5, -1e308, 1e308, float("nan"), float("inf"), "", "x", "9" * 500,
    MOVING, [], [1], ["x"], [[]], [None], {}, {"a": 1}, {"id": 1}, [{}], [{"a": []}],
]  # fmt: skip
"""What somebody may write in the place of a value; 10**5000 is too long for Python's reader of JSON."""


def written(value: object) -> str:
    """As JSON with whatever numbers."""
    sys.set_int_max_str_digits(0)
    try:
        return json.dumps(value)
    finally:
        sys.set_int_max_str_digits(4300)


def changed(content: Any, random: np.random.Generator) -> Any:
    """The content of a file with one entry, at any depth, left out, added or replaced."""
    holder, place = content, None
    while isinstance(holder, dict | list) and holder:
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        key = keys[random.integers(len(keys))]
        place = holder, key
        if not isinstance(holder[key], dict | list) or random.random() < 0.5:
            break
        holder = holder[key]
    if place is None:
        return VALUES[random.integers(len(VALUES))]
    holder, key = place
    kind = random.integers(4)
    if kind == 0:
        del holder[key]
    elif kind == 1 and isinstance(holder, dict):
        holder["another"] = VALUES[random.integers(len(VALUES))]
    else:
        holder[key] = VALUES[random.integers(len(VALUES))]
    return content


LOOKING = [["list", "."], ["sessions", "."], ["watch", "run"], ["compare", "run", "run"], ["retime", "run"]]


@pytest.mark.parametrize(
    ("tries", "seed"), [(40, 17), *(pytest.param(150, seed, marks=pytest.mark.nightly) for seed in range(4))]
)
@pytest.mark.parametrize("vouched", [True, False], ids=["beside", "alone"])
def test_K17_any_change_of_a_file_at_a_run_s_end_is_one_line_or_a_row(
    recorded: Path, workdir: Path, capsys: pytest.CaptureFixture[str], vouched: bool, tries: int, seed: int
) -> None:
    """Keys left out, added, and given any value, beside a journal that tells the result, or one that does not.

    A verb that looks at many says so in a row; one that was given the run ends with 2 and one line. No number that is
    printed has more than 40 digits.
    """
    random = np.random.default_rng([seed, vouched])
    shutil.copytree(recorded, "run")
    if not vouched:
        forged(Path("run"), lambda facts: facts.__delitem__(slice(-2, None)))
    originals = {name: json.loads(Path("run", name).read_bytes()) for name in ("result.json", "session.json")}
    for number in range(tries):
        name = list(originals)[number % 2]
        content = written(changed(json.loads(json.dumps(originals[name])), random))
        Path("run", name).write_text(content)
        for words in [*LOOKING, ["resume", "run"]] if vouched else LOOKING[:4]:
            code = main(words)
            said = capsys.readouterr()
            assert code in ((0,) if words[1] == "." else (0, 1, 2)), (words, content, said)
            assert "Traceback" not in said.err, (words, content)
            assert len([line for line in said.err.splitlines() if line.startswith("error: ")]) == (code == 2)
            assert re.search(r"(?<!9)\d{40}", said.out + said.err) is None, (words, content, said)
            require_written_out(said.out + said.err, content)
        Path("run", name).write_text(json.dumps(originals[name]))


@pytest.mark.parametrize(
    "changes",
    [
        {"energy": -99.0}, {"usage_seconds": 1e10}, {"cost": 1e308}, {"evaluations": 10**18}, {"status": "stopped"},
        {"table": [{"a": 1}]}, {"parameters": [0.0]}, {"versions": {}}, {"stddev": None},
    ],
    ids=lambda changes: next(iter(changes)),
)  # fmt: skip
def test_K17_a_result_that_the_journal_contradicts_is_damaged(
    recorded: Path, workdir: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, object]
) -> None:
    """Each value one that a run may have: `list` has a row that says damaged, the others a line with both values."""
    shutil.copytree(recorded, "run")
    shutil.copytree(recorded, "sound")
    content = json.loads(Path("run/result.json").read_bytes()) | changes
    Path("run/result.json").write_text(json.dumps(content))
    (name,) = changes
    for words in (
        ["watch", "run"],
        ["compare", "run", "sound"],
        ["resume", "run"],
        ["export", "run", "--format=qasm3", "--bound"],
    ):
        assert main(words) == 2, words
        (line,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("error: "))
        assert re.search(rf"run/result\.json is damaged \({name} is .*, .* in its journal\)", line), line
    assert main(["list", "."]) == 0
    said = capsys.readouterr().out
    assert re.search(r"^damaged +run$|run\n +damaged$", said, re.MULTILINE), said
    assert "finished" in said


def test_K17_a_result_that_was_deleted_is_written_again_from_the_journal(
    recorded: Path, workdir: Path
) -> None:
    """As the refusal of a damaged one says: the same to the bit, but for what tells of the process."""
    shutil.copytree(recorded, "run")
    Path("run/result.json").unlink()
    assert main(["resume", "run"]) == 0
    found, expected = (json.loads(Path(place, "result.json").read_bytes()) for place in ("run", recorded))
    assert {**found, "wall_seconds": 0} == {**expected, "wall_seconds": 0}


@pytest.mark.parametrize(
    "content", [{"layers": 5}, {"layers": None}, {"layers": [5]}, {"layers": {"a": 1}}, {}]
)
def test_K17_a_noise_model_that_lists_no_layers_is_one_line(
    workdir: Path, capsys: pytest.CaptureFixture[str], content: dict
) -> None:
    """Of whatever type they are."""
    Path("learned.json").write_text(json.dumps(content))
    words = [
        "backend=noisy",
        "estimator.layer_noise_model=file:learned.json",
        "estimator.resilience_level=2",
    ]
    assert main([*words, *QUIET]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    "content",
    [{"synced": "x"}, {"uri": 5}, {"run_id": []}, {"failures": -1}, {"since": "x"}, {"phase": {}}, {"slowest": None}],
    ids=lambda content: next(iter(content)),
)  # fmt: skip
def test_K17_what_was_uploaded_is_not_believed_of_another_type(workdir: Path, content: dict) -> None:
    """Everything is uploaded again, as where there is no such file."""
    Path("mlflow.json").write_text(json.dumps(content))
    assert UploadState.load(workdir) == UploadState()


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        ("preparation", 1e308, ()),
        ("qpu_estimate", -1e308, ()),
        ("work", [[1e308, 1e308]], ("session.rep_delay=1", "session.mode=session,job")),
        ("work", [[-1e9, 1.0]], ("session.rep_delay=1",)),
    ],
    ids=["preparation", "estimate", "endless", "negative"],
)
def test_K17_times_of_jobs_that_are_none_are_one_line(
    recorded: Path,
    workdir: Path,
    capsys: pytest.CaptureFixture[str],
    place: str,
    value: object,
    words: tuple[str, ...],
) -> None:
    """In every submission, with the right checksums: no total is printed that no clock can tell."""
    shutil.copytree(recorded, "run")

    def change(facts: list[dict]) -> None:
        for fact in facts:
            if fact["kind"] == "job.submitted":
                fact[place] = value

    forged(Path("run"), change)
    code = main(["retime", "run", *words])
    said = capsys.readouterr()

    assert "Traceback" not in said.err
    assert "nan" not in said.out
    assert "inf" not in said.out
    assert code in (0, 2)
    assert said.err.count("error: ") == (code == 2)
    assert re.search(r"\d{20}", said.out) is None


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of two short runs, one of which has not begun."""
    folder = tmp_path_factory.mktemp("swept") / "sweep"
    code = main(["-m", "seed=1,2", "optimizer.max_evaluations=2", *QUIET, f"hydra.sweep.dir={folder}"])
    assert code == 0
    shutil.rmtree(folder / "1")
    return folder


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("sweep.json", {"schemas": {"hamiltonian": {}}}), ("sweep.json", {"schemas": []}),
        ("sweep.json", {"overrides": [1]}), ("sweep.json", {"config_dirs": 5}), ("sweep.json", {"sweeper": [1]}),
        ("sweep.json", {"total": "x"}), ("sweep.json", {"energy_unit": {}}), ("sweep.json", {"values": None}),
        ("runs.jsonl", {"schemas": {"hamiltonian": 5}}), ("runs.jsonl", {"label": {"seed": []}}),
        ("runs.jsonl", {"number": -1}), ("runs.jsonl", {"number": True}), ("runs.jsonl", {"overrides": [None]}),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)  # fmt: skip
def test_K17_a_sweep_that_says_another_type_is_one_line(
    swept: Path, workdir: Path, capsys: pytest.CaptureFixture[str], name: str, changes: dict[str, object]
) -> None:
    """What the sweep was declared to be, and what was planned: the file and the name that is wrong."""
    shutil.copytree(swept, "sweep")
    first, *rest = Path("sweep", name).read_text(encoding="utf-8").splitlines() if name == "runs.jsonl" else [
        Path("sweep", name).read_text(encoding="utf-8")
    ]  # fmt: skip
    Path("sweep", name).write_text("\n".join([json.dumps(json.loads(first) | changes), *rest, ""]))
    for words in [["resume", "sweep"], *([["report", "sweep"]] if name == "sweep.json" else [])]:
        code = main(words)
        said = capsys.readouterr().err
        assert code == 2, (words, said)
        (line,) = (line for line in said.splitlines() if line.startswith("error: "))
        assert f"{name} is damaged ({next(iter(changes))} is " in line


def test_K17_a_run_of_a_sweep_with_a_damaged_result_is_a_row_of_its_table(
    swept: Path, workdir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is not taken for finished, and the others are; a failure of another type counts as none."""
    shutil.copytree(swept, "sweep")
    content = json.loads(Path("sweep/0/result.json").read_bytes())
    Path("sweep/0/result.json").write_text(json.dumps({**content, "energy": -99.0}))
    Path("sweep/1").mkdir()
    Path("sweep/1/failure.json").write_text('{"status": [], "self": 1}')
    assert main(["resume", "sweep"]) != 0
    said = "".join(capsys.readouterr())
    assert "Traceback" not in said
    assert "-99" not in Path("sweep/sweep.csv").read_text(encoding="utf-8").replace("is -99.0", "")
    rows = read_rows("sweep/sweep.csv")
    assert [row["status"] for row in rows] == ["failed", "finished"]
    assert "result.json is damaged (energy is -99.0, " in rows[0]["reason"]


def test_no_configuration_is_written_that_would_not_be_read_again(tmp_path: Path) -> None:
    """A list of 100 000 numbers, itself, its name and the mapping are three values too many; 99 997 are read."""
    path = tmp_path / "config.yaml"
    for count, fits in ((99_997, True), (99_998, False)):
        text = "x: [" + "1," * (count - 1) + "1]\n"
        path.write_text(text)
        if fits:
            require_short(text, "it")
            assert len(read_mapping(path)["x"]) == count
            continue
        with pytest.raises(ConfigError, match="it has more than 100000 values; put long lists into files"):
            require_short(text, "it")
        with pytest.raises(ConfigError, match="expands to more than 100000 values"):
            read_mapping(path)
    with pytest.raises(ConfigError, match="it takes more than 1000000 bytes"):
        require_short("x: " + "1" * 1_000_000, "it")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt", "0.5 XX\n{digits}nt ZZ\n"),
        ("b.csv", "pauli,coefficient\nXX,{digits}nt\nZZ,1\n"),
        ("c.csv", "pauli,coefficient\nXX,{digits}{blanks}z\nZZ,1\n"),
        ("d.txt", "3 2\n1 2 {digits}n\n2 3 1\n"),
        ("e.txt", "({digits}+{digits}n) XX\n"),
        ("f.xyz", "1\n\nH {digits}nt 0 0\n"),
    ],
)
def test_K17_a_number_of_very_many_digits_is_read_once(workdir: Path, name: str, content: str) -> None:
    """What is none is refused in no time: each of 50 000 digits looked at again for each of them would be minutes."""
    Path(name).write_text(content.format(digits="9" * 50_000, blanks=" " * 50_000))
    program = (
        "import signal, sys; from pathlib import Path; from runner.errors import ConfigError\n"
        "from runner.review.inspection import inspect_file\n"
        "signal.alarm(30)\n"
        "try:\n    inspect_file(Path(sys.argv[1]))\n"
        "except ConfigError:\n    pass\n"
    )
    assert subprocess.run([sys.executable, "-c", program, name], check=False).returncode == 0

"""How runs, their directories, sessions and jobs are called: words that can be copied, and that tell runs apart."""

import io
import json
import re
import shlex
from pathlib import Path

import pytest
from rich.console import Console

import runner
from runner.__main__ import main
from runner.cli.list import row, show
from runner.display.words import percent
from runner.record.directory import dated
from runner.record.ledger import jobs_of
from runner.run.progress import session_lines
from runner.runtime import LocalRuntimeService, Session
from tests.journals import resulted

QUICK = (
    "tracking=off",
    "run.figures=false",
    "optimizer=cobyla",
    "optimizer.max_evaluations=4",
    "estimator=exact",
)
PORTABLE = re.compile(r"[A-Za-z0-9._-]+")
"""POSIX's portable file name characters; all of them are unreserved in a URL (RFC 3986), too."""


def ids(path: Path) -> list[str]:
    """Ids of the sessions and jobs of a run."""
    content = json.loads((path / "session.json").read_text())
    return [one["id"] for one in [*content["sessions"], *jobs_of(content)]]


@pytest.mark.parametrize("folder", ["runs", "sweeps", "forecasts"])
@pytest.mark.parametrize("name", ["vqe_max_evaluations=30", "a, b=c+d", "größe [1]", "~x;rm -rf", "field=-1"])
def test_a_directory_is_called_by_characters_that_mean_themselves_everywhere(folder: str, name: str) -> None:
    """To a shell (no quotes needed), in a URL, and behind `run:`."""
    path = dated(folder, name)

    assert PORTABLE.fullmatch(path.name)
    assert shlex.quote(str(path)) == str(path)


def test_a_run_can_start_where_another_ended_by_the_name_of_its_folder(workdir: Path) -> None:
    """As it is named today, and with an equals sign, as runs were named before."""
    assert main([*QUICK, "name=first"]) == 0
    (first,) = (workdir / "outputs/runs").iterdir()
    best = json.loads((first / "result.json").read_text())["parameters"]
    for name in (first.name, "2026-11-29_00-10-20_vqe_max_evaluations=30"):
        first = first.rename(first.with_name(name))
        assert main([*QUICK, "name=second", f"ansatz.initial=run:{name}", f"hydra.run.dir={len(name)}"]) == 0

        lines = (workdir / str(len(name)) / "journal.jsonl").read_text().splitlines()
        started = next(json.loads(line) for line in lines if json.loads(line)["kind"] == "evaluation")
        assert started["parameters"] == pytest.approx(best)


def test_ids_tell_configurations_apart_and_are_the_same_for_the_same(workdir: Path) -> None:
    """Of sessions and jobs; neither the name of a run nor where it is recorded makes another of it."""
    runs = {
        "one": QUICK,
        "again": (*QUICK, "name=called"),
        "other": (*QUICK, "ansatz.reps=1"),
        "seeded": (*QUICK, "seed=2"),
    }
    for name, words in runs.items():
        assert main([*words, f"hydra.run.dir={name}"]) == 0
    runner.run(runner.compose(*QUICK), directory="python")

    found = {name: ids(workdir / name) for name in (*runs, "python")}
    assert found["one"] == found["again"] == found["python"]
    distinct = [*found["one"], *found["other"], *found["seeded"]]
    assert len(set(distinct)) == len(distinct)


def test_a_resumed_run_keeps_its_ids(workdir: Path) -> None:
    """They are derived from what its journal says, wherever it was cut."""
    assert main([*QUICK, "hydra.run.dir=whole"]) == 0
    lines = (workdir / "whole/journal.jsonl").read_bytes().splitlines(keepends=True)
    (workdir / "cut").mkdir()
    (workdir / "cut/config.yaml").write_bytes((workdir / "whole/config.yaml").read_bytes())
    (workdir / "cut/journal.jsonl").write_bytes(b"".join(lines[: len(lines) // 2]))

    assert main(["resume", "cut"]) == 0
    assert ids(workdir / "cut") == ids(workdir / "whole")


def test_a_run_that_records_no_digest_goes_on_with_ids_of_its_seed(workdir: Path) -> None:
    """The first session of seed 1 was called so in every run before; taken from a run of release 0.1.0's rule."""
    from hashlib import blake2b

    digest = blake2b(b"1|session|dedicated|0", digest_size=16).hexdigest()
    service = LocalRuntimeService(seed=1)
    with Session(backend=service.backend("ideal")) as session:
        assert session.session_id is not None
        assert session.session_id.replace("-", "")[:12] == digest[:12]


def listed(width: int, *paths: Path) -> list[str]:
    """What `list` prints on a terminal of some width."""
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    show(console, [row(path) for path in paths])
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]


@pytest.mark.parametrize("width", [40, 80, 200])
def test_paths_in_the_list_are_never_torn(width: int, tmp_path: Path) -> None:
    """Each stands in one line, quoted where it has to be; everything else keeps within the terminal."""
    paths = [tmp_path / "2026-11-29_00-10-20_vqe_max_evaluations-30_and_more", tmp_path / "with blank"]
    result = resulted(
        status="finished", energy=-0.702123, stddev=0.0043, error=0.000807, energy_kind="measured",
        exact_energy=-0.7022, reference_energy=-0.70293, evaluations=120, usage_seconds=4758.0, cost=3722.98,
    )  # fmt: skip
    for path in paths:
        path.mkdir()
        (path / "result.json").write_text(json.dumps(result))

    lines = listed(width, *paths)

    for path in paths:
        assert any(line.endswith(shlex.quote(str(path))) for line in lines)
    text = " ".join(lines)
    for word in ("finished", "-0.702123 ± 0.0043", "+0.000807", "120", "1 h 19 min", "3722.98 USD"):
        assert text.count(word) >= len(paths), word
    assert all(len(line) <= width for line in lines if str(tmp_path) not in line)


def test_many_sessions_are_one_line() -> None:
    """How many ended in which way, and which was the last."""
    ended = {"status": "Closed", "reason": "maximum time reached"}
    sessions = [{**ended, "id": f"id{n}"} for n in range(12)]
    sessions.append({"id": "last", "status": "Closed", "reason": "closed by close()"})

    ((name, words),) = session_lines(sessions)

    assert name == "sessions"
    assert words == "13: 12 closed: maximum time reached; the last, last, closed by close()"
    assert len(session_lines(sessions[:3])) == 3


@pytest.mark.parametrize(
    ("share", "digits", "words"),
    [
        (1.2, 2, "120 %"),
        (12.0, 2, "1200 %"),
        (0.05, 2, "5 %"),
        (0.0000314, 3, "0.00314 %"),
        (1e-8, 2, "0.000001 %"),
    ],
)
def test_percent_has_no_exponent(share: float, digits: int, words: str) -> None:
    """Two or three digits, as long as the number has to be."""
    assert percent(share, digits) == words


def test_a_run_whose_session_ended_says_why(workdir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The session's own reason, not the sentence with which the service refuses the next job."""
    words = ["experiment=dynamics", "hamiltonian=tfim", "session.max_time=20"]
    assert main(["tracking=off", "run.figures=false", *words, "hydra.run.dir=run"]) == 3

    assert (
        json.loads((workdir / "run/result.json").read_text())["stop_reason"]
        == "session ended: maximum time reached"
    )
    assert "dynamics: stopped (session ended: maximum time reached)" in capsys.readouterr().out

"""What is printed for a shell to take is taken as it was meant, whatever the names of files hold."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.declare.composer import compose
from runner.display.command import run_command
from runner.display.shell import command, quoted
from runner.display.stream import error_line
from runner.errors import ConfigError
from runner.record.directory import RunDirectory
from runner.record.events import RunStarted
from runner.review.inspection import inspect_file
from runner.run.execution import resume_command
from runner.tracking.presentation import code
from runner.tracking.report import UploadState, report_of

ODD = (
    "two  blanks", " lead", "trail ", "it's", 'say "x"', "$HOME", "`id`", "a\\", "\\'", "a\nb", "tab\tx", "größe 1",
    "!!", "~", "#x", "a;b", "$'x'", "null", "é\u00a0ü", "\udcff", "\x7f77", "1\n2  3", "*", "(1)", "&", "-x",
    "\u202eabc",
)  # fmt: skip
NAMES = st.one_of(
    st.sampled_from(ODD),
    st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0/"), min_size=1, max_size=20),
    st.text(" \n\t'\"$\\`!{}[]=,aé1", min_size=1, max_size=12),
)


def read_by_bash(line: str) -> list[bytes]:
    """The words of a line as bash takes them apart, told by its own printf."""
    done = subprocess.run(["bash", "-c", f"printf '%s\\0' {line}"], capture_output=True, check=True)
    return done.stdout.split(b"\0")[:-1]


@settings(max_examples=40, deadline=None)
@given(st.lists(NAMES, min_size=1, max_size=12))
def test_bash_reads_the_words_that_were_meant(words: list[str]) -> None:
    """In one line without a character that a terminal obeys; the words are bash's own."""
    line = " ".join(map(quoted, words))

    assert line.isprintable()
    assert read_by_bash(line) == [word.encode("utf-8", "surrogateescape") for word in words]


@given(NAMES.filter(str.isprintable))
def test_printable_words_are_quoted_as_any_shell_takes_them(word: str) -> None:
    """Python's shlex, which knows what every POSIX shell does, reads them, too."""
    assert shlex.split(command("resume", word)) == ["python", "-m", "runner", "resume", word]


@pytest.mark.parametrize("name", ODD)
def test_every_command_names_its_directory(name: str, tmp_path: Path) -> None:
    """What goes on with a run, brings it into MLflow and does it again, as bash reads it."""
    path = tmp_path / name
    path.mkdir()
    (path / "journal.jsonl").write_text("")
    typed = [f"hydra.run.dir='{name}'"]
    started = RunStarted.read(
        {"experiment": "vqe", "config": {}, "overrides": typed, "schemas": {}, "config_dirs": [str(path)]}
    )
    synced = report_of(path, UploadState(phase="offline", message="no answer")).message
    start = [b"python", b"-m", b"runner"]
    told = str(path).encode("utf-8", "surrogateescape")

    assert read_by_bash(resume_command(RunDirectory(path), [], "--fork")) == [
        *start, b"resume", told, b"--fork"
    ]  # fmt: skip
    assert read_by_bash(synced.partition("later: ")[2]) == [*start, b"sync", told]
    heading, empty, line = code(run_command(started))
    assert (heading, empty, line[:4]) == ("Again:", "", "    ")  # a block of code in Markdown, of one line
    assert read_by_bash(line) == [
        *start, b"--config-dir", told, typed[0].encode("utf-8", "surrogateescape")
    ]  # fmt: skip


@pytest.mark.parametrize(
    "name", [*(one for one in ODD if one != "\udcff"), "a=b,c", "[x]", "${x}", "\\${x}", "1.5"]
)
def test_inspect_says_what_reads_the_file(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What bash hands on is composed to the very path, through the shell's quotes and Hydra's; settings are UTF-8."""
    monkeypatch.chdir(tmp_path)
    path = Path(name)
    path.write_text(json.dumps({"XX": 0.5, "ZZ": -1.0}))

    one = next(one for one in inspect_file(path) if one.kind == "operator")

    words = [word.decode("utf-8", "surrogateescape") for word in read_by_bash(one.use)]

    assert compose(*words, "experiment=estimation", "tracking=off").hamiltonian.path == name


def test_an_error_is_one_line_in_which_names_keep_their_blanks() -> None:
    """Ends of lines become blanks, as in errors of libraries; two blanks in a name stay two."""
    assert error_line(ConfigError("a  b holds a run\n   already")) == "error: a  b holds a run already"

"""G16: configurations cannot make the program run anything, whatever they name and wherever they name it."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import pytest

from runner.declare.composer import declare
from runner.errors import ConfigError

TARGETS = (
    # the first four are executed by Hydra 1.3.8's instantiate, its blocklist notwithstanding
    "mlflow.utils.process._exec_cmd", "git.cmd.Git.execute", "sympy.sympify", "setuptools._distutils.spawn.spawn",
    "os.system", "subprocess.Popen", "builtins.eval", "builtins.exec", "pickle.loads", "runpy.run_path",
    "pandas.eval", "pathlib.Path.write_text", "shutil.copy", "joblib.load", "logging.os.system",
)  # fmt: skip
KEYS = ("_target_", "_partial_", "_args_", "_recursive_", "_convert_")
PLACES = (
    "+{key}={value}", "++{key}={value}", "+optimizer.{key}={value}", "+hamiltonian.{key}={value}",
    "+backend.extra={{{key}: {value}}}", "+ansatz.deep.deeper.{key}={value}", "optimizer={{{key}: {value}}}",
    "+hydra.sweeper.{key}={value}", "+hydra/launcher.{key}={value}",
)  # fmt: skip
RESOLVERS = (
    "name=${oc.env:HOME}", "name=${oc.decode:'1'}", "name=${oc.create:{_target_: os.system}}", "name=${eval:1+1}",
    "+x=${oc.env:PATH}", "optimizer.max_evaluations=${oc.decode:${oc.env:SHLVL}}", "name=${hydra:runtime.cwd}",
    "name=${oc.dict.values:optimizer}", "name=${python:os.getcwd()}", "hydra.searchpath=[file:///tmp]",
    "hydra.job_logging.version=1", "hydra.callbacks.x._target_=os.system", "+hydra.output_subdir=${oc.env:HOME}",
)  # fmt: skip
TAGS = (
    "!!python/object/apply:os.system ['touch executed']", "!!python/object/new:os.system ['touch executed']",
    "!!python/name:os.system", "!!python/module:os", "!!python/object:os.system {}", "!python/object/apply:eval ['1']",
)  # fmt: skip
PAYLOADS = [
    place.format(key=key, value=target) for key, place, target in itertools.product(KEYS, PLACES, TARGETS)
]
EXECUTES = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "pty.spawn")

_seen: list[str] | None = None


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    """An audit hook, which nothing can remove: what would be execution, or writing a file, while `_seen` is a list."""
    if _seen is None:
        return
    writes = event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")
    if event.startswith(EXECUTES) or writes:
        _seen.append(f"{event} {arguments}")


@pytest.fixture(scope="module")
def hooked() -> None:
    """The hook is there from now on."""
    sys.addaudithook(_watch)


def refusal_of(overrides: list[str], **options: object) -> str:
    """The one line with which a configuration is refused; nothing may be executed or written meanwhile."""
    global _seen
    _seen = []
    try:
        declare(overrides, **options)  # type: ignore[arg-type]
    except ConfigError as error:
        line = str(error)
    else:
        line = ""
    finally:
        seen, _seen = _seen, None
    assert seen == [], overrides
    assert line, f"{overrides} was accepted"
    assert "\n" not in line
    return line


@pytest.mark.parametrize("every", [11, pytest.param(1, marks=pytest.mark.nightly)])
def test_G16_no_override_names_code(workdir: Path, hooked: None, every: int) -> None:
    """K1, K2: nearly 700 overrides with Hydra's keys for objects, resolvers, sources: refused, without any effect."""
    declare(["tracking=off"])  # what is imported late is imported now

    for payload in (*PAYLOADS[::every], *RESOLVERS):
        refusal_of([payload])

    assert list(workdir.iterdir()) == []


def test_G16_no_file_names_code(workdir: Path, hooked: None) -> None:
    """K1: choices in files of one's own: Python tags and Hydra's keys are refused before anything is made of them."""
    folder = workdir / "conf" / "optimizer"
    folder.mkdir(parents=True)
    contents = [f"name: {tag}\n" for tag in TAGS]
    contents += [f"name: a\n{key}: {target}\n" for key, target in itertools.product(KEYS, TARGETS[:4])]
    contents += [f"name: a\nnested:\n  list:\n  - {key}: os.system\n" for key in KEYS]
    for number, content in enumerate(contents):
        (folder / f"bad{number}.yaml").write_text(content)

        refusal_of([f"optimizer=bad{number}"], config_dirs=["conf"])

        (folder / f"bad{number}.yaml").unlink()
    assert not (workdir / "executed").exists()

"""The documentation says what is true: every command can be typed, every setting is listed, the site can be built."""

from __future__ import annotations

import importlib.util
import pkgutil
import re
import shlex
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from runner.cli import VERBS
from runner.cli.line import read
from runner.declare.composer import declare
from runner.declare.config import GROUPS, RunConfig
from runner.declare.overrides import Overrides
from runner.declare.registry import registered

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]
LIKE_RUN = {"run", "forecast"}
"""Verbs that take a declaration."""
OWN_PLUGIN = ("docs/extend.md", "docs/declare.md", "docs/hydra.md")
"""Pages whose examples need code that the reader writes first; their own tests run them."""


def commands() -> Iterator[tuple[str, str]]:
    """Page and text of every `python -m runner …` in a shell block."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for block in re.findall(r"```(?:sh|bash|console)\n(.*?)```", text, flags=re.DOTALL):
            for line in block.replace("\\\n", " ").splitlines():
                start = line.find("python -m runner")
                if start >= 0 and "$(" not in line:
                    yield page.relative_to(ROOT).as_posix(), line[start:]


COMMANDS = sorted(set(commands()))


@pytest.mark.parametrize(("page", "command"), COMMANDS, ids=lambda value: value)
def test_every_command_in_the_documentation_can_be_typed(page: str, command: str) -> None:
    """Declarations compose, verbs and flags exist; tests/test_documented_commands.py carries them out at night."""
    words = shlex.split(command, comments=True)[3:]
    line = read(words)

    assert line.verb in VERBS
    if (
        line.verb not in LIKE_RUN
        or line.flags & {"help", "shell-completion", "version"}
        or page in OWN_PLUGIN
        or any(word.startswith("plugins=") for word in words)  # tests/test_tutorial_tasks.py writes it first
    ):
        return
    if any(word.startswith("hydra/sweeper=") for word in words):
        return  # what a search draws from are ranges, not values; tests/test_sweep.py runs one
    overrides = [
        override.typed(override.values[0]) if "multirun" in line.flags and override.swept else override.text
        for override in Overrides.of([word for word in line.arguments if not word.startswith("hydra/")])
        if not override.key.startswith(("hydra.", "sweep"))
    ]
    if any("backend=ibm" in override for override in overrides) or line.config_dirs:
        return
    assert declare(overrides).config.experiment.name


def test_there_are_commands_in_the_documentation() -> None:
    """The search above still finds them."""
    assert len(COMMANDS) > 30


@pytest.fixture(scope="module")
def site() -> ModuleType:
    """docs/site.py, which writes the generated pages."""
    spec = importlib.util.spec_from_file_location("site_pages", ROOT / "docs" / "site.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def generated(site: ModuleType) -> dict[str, str]:
    """Name → text of every generated page."""
    return dict(site.pages())


def test_the_configuration_reference_has_every_setting(generated: dict[str, str]) -> None:
    """Every field of every schema with its meaning, every choice with its sentence."""
    text = generated["reference.md"]

    for group in GROUPS:
        for path in (ROOT / "conf" / group).glob("*.yaml"):
            assert f"| `{group}={path.stem}` |" in text
        for cls in registered()[group].values():
            for item in fields(cls):
                if item.name != "name":
                    assert f"`{group}.{item.name}" in text
    for item in fields(RunConfig):
        assert item.name in GROUPS or f"`{item.name}" in text
    assert not re.search(r"\| *\|$", text, flags=re.MULTILINE), "a setting has no docstring"


def test_the_command_line_reference_has_every_verb(generated: dict[str, str]) -> None:
    """One section per verb."""
    text = generated["command-line.md"]

    assert [line[3:] for line in text.splitlines() if line.startswith("## ")] == list(VERBS)


def navigation(entry: object) -> Iterator[str]:
    """Files named in mkdocs.yml's nav."""
    if isinstance(entry, str):
        yield entry
    elif isinstance(entry, dict):
        for value in entry.values():
            yield from navigation(value)
    elif isinstance(entry, list):
        for value in entry:
            yield from navigation(value)


def test_every_page_is_in_the_navigation(generated: dict[str, str]) -> None:
    """No page is lost, none is promised in vain."""
    listed = set(navigation(yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]))
    there = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").glob("**/*.md")}

    assert listed == there | set(generated)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path, generated: dict[str, str]) -> None:
    """Relative links name files that exist or are generated."""
    for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists() or target in generated, f"{target} in {page.name}"


@pytest.mark.parametrize("page", sorted((ROOT / "docs" / "api").glob("*.md")), ids=lambda path: path.stem)
def test_what_the_api_pages_name_is_there(page: Path) -> None:
    """Every `::: name` is a module or something public of one, with a docstring."""
    names = re.findall(r"^::: (\S+)$", page.read_text("utf-8"), flags=re.MULTILINE)

    assert names
    for name in names:
        assert pkgutil.resolve_name(name).__doc__, name


@pytest.mark.nightly
def test_the_site_can_be_built(tmp_path: Path) -> None:
    """MkDocs builds it without a warning."""
    pytest.importorskip("mkdocs")
    pytest.importorskip("mkdocstrings_handlers.python")
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    build(load_config(str(ROOT / "mkdocs.yml"), site_dir=str(tmp_path), strict=True))

    assert "optimizer.max_evaluations" in (tmp_path / "reference" / "index.html").read_text(encoding="utf-8")
    assert "EstimatorV2" in (tmp_path / "api" / "runtime" / "index.html").read_text(encoding="utf-8")

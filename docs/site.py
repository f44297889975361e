"""Pages that are written when the site is built: what can be declared, read off the schemas, and the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any

from runner.cli.line import verbs
from runner.cli.manual import USAGE, choices, field_docs, verb_page
from runner.declare.config import CONF, GROUPS, RunConfig
from runner.declare.registry import registered

DOCS = Path(__file__).parent


def on_files(files: Any, config: Any) -> Any:
    """Add the generated pages to the site; MkDocs calls this."""
    from mkdocs.structure.files import File

    for name, text in pages().items():
        files.append(File.generated(config, name, content=text))
    return files


def pages() -> dict[str, str]:
    """File name → Markdown of every generated page."""
    return {
        "reference.md": "\n".join(reference()),
        "command-line.md": command_line(),
        "notebook.md": "\n\n".join(notebook()),
    }


def notebook() -> Iterator[str]:
    """The cells of notebook.ipynb with what they printed and showed."""
    for cell in json.loads((DOCS / "notebook.ipynb").read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            yield source
            continue
        yield f"```python\n{source}\n```"
        yield from (shown(output) for output in cell["outputs"])


def shown(output: dict[str, Any]) -> str:
    """One output of a cell, the richest form that it has."""
    if "text" in output:
        return f"```text\n{''.join(output['text']).rstrip()}\n```"
    data = output["data"]
    if "text/html" in data:
        return "".join(line.strip() for line in data["text/html"])
    if "image/png" in data:
        return f'<img alt="" src="data:image/png;base64,{"".join(data["image/png"]).strip()}">'
    return f"```text\n{''.join(data['text/plain'])}\n```"


def reference() -> Iterator[str]:
    """Every group, its choices, and every field of every schema with type, default and meaning."""
    yield "# Configuration\n"
    yield "Generated from the schemas; `python -m runner --help GROUP` shows the same.\n"
    yield "## The run\n"
    yield from table(RunConfig, prefix="", skip=GROUPS)
    for group in GROUPS:
        yield f"\n## {group}\n"
        yield "| choice | what it is |\n|---|---|"
        for choice, sentence in choices(group).items():
            yield f"| `{group}={choice}` | {cell(sentence)} |"
        for schema, cls in registered()[group].items():
            users = [choice for choice in choices(group) if schema_of(group, choice) == schema]
            yield f"\n### {group} · {schema}\n"
            yield f"{cell(' '.join((cls.__doc__ or '').split()))}\n"
            if users:
                yield f"Choices: {', '.join(f'`{user}`' for user in users)}\n"
            yield from table(cls, prefix=f"{group}.", skip=("name",))


def table(cls: type[Any], *, prefix: str, skip: tuple[str, ...]) -> Iterator[str]:
    """One row per field, nested ones by their full key."""
    rows = list(rows_of(cls, prefix, skip))
    if not rows:
        yield "No settings.\n"
        return
    yield "| key | type | default | meaning |\n|---|---|---|---|"
    yield from rows


def rows_of(cls: type[Any], prefix: str, skip: tuple[str, ...]) -> Iterator[str]:
    """Key, type, default and meaning of every field."""
    meanings = field_docs(cls)
    for item in fields(cls):
        if item.name in skip:
            continue
        factory = item.default_factory
        if isinstance(factory, type) and hasattr(factory, "__dataclass_fields__"):
            yield from rows_of(factory, f"{prefix}{item.name}.", ())
        else:
            kind = cell(str(item.type))
            yield f"| `{prefix}{item.name}` | {kind} | {default(item)} | {cell(meanings.get(item.name, ''))} |"


def default(item: Field[Any]) -> str:
    """A field's default as it is written in YAML."""
    value = item.default
    if value is MISSING:
        value = item.default_factory() if item.default_factory is not MISSING else "required"
    if value == "required":
        return "required"
    if value is None:
        return "`null`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def cell(text: str) -> str:
    """Text that does not end a table cell or become markup."""
    return text.replace("|", "\\|").replace("<", "&lt;")


def schema_of(group: str, choice: str) -> str:
    """The schema that a choice's file names."""
    text = (CONF / group / f"{choice}.yaml").read_text(encoding="utf-8")
    marker = f"/schema/{group}/"
    return text.partition(marker)[2].partition("@")[0].strip() if marker in text else choice


def command_line() -> str:
    """The usage text and every verb's own page."""
    lines = ["# Command line\n", "```text", USAGE.rstrip(), "```\n"]
    for verb in verbs().values():
        lines += [f"## {verb.name}\n", "```text", *verb_page(verb), "```\n"]
    return "\n".join(lines)

"""Values as HTML, for notebooks: tables without colours of their own, so that they are read on white and on black."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence

LEFT = "text-align: left; vertical-align: top"
MOST_ROWS = 20
"""Rows of a table that are shown."""


def facts(rows: Iterable[Sequence[str]]) -> str:
    """A table of names, values and, where there is a third word, notes."""
    lines = []
    for name, *values in rows:
        cells = "".join(f'<td style="{LEFT}">{html.escape(value)}</td>' for value in values)
        lines.append(f'<tr><th style="{LEFT}">{html.escape(name)}</th>{cells}</tr>')
    return f"<table>{''.join(lines)}</table>"


def table(rows: Sequence[Mapping[str, object]], digits: Mapping[str, int] | None = None) -> str:
    """A table of dictionaries, without lists; of many rows the first. What a row does not have stays empty.

    Args:
        rows: a dictionary for each.
        digits: column → significant digits of its numbers, if not six.
    """
    if not rows:
        return ""
    rows = [{name: row[name] for name in row if not isinstance(row[name], list)} for row in rows]
    names = list(dict.fromkeys(name for row in rows for name in row))
    head = "".join(f"<th>{html.escape(str(name))}</th>" for name in names)
    lines = [
        "".join(
            f"<td>{html.escape(_cell(row.get(name), (digits or {}).get(name, 6)))}</td>" for name in names
        )
        for row in rows[:MOST_ROWS]
    ]
    rest = f"<p>… {len(rows)} rows in all</p>" if len(rows) > MOST_ROWS else ""
    return f"<table><tr>{head}</tr>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>{rest}"


def _cell(value: object, digits: int) -> str:
    if isinstance(value, float):
        return f"{value:.{digits}g}"
    return "" if value is None else str(value)

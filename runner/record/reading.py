"""What a run wrote at its end, read again: it may be damaged, or somebody else's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runner.errors import ConfigError
from runner.record.directory import JOURNAL
from runner.record.encoding import encode
from runner.record.files import read_object
from runner.record.journal import is_ended, result_at_end
from runner.record.packed import is_there
from runner.record.result import (
    Check,
    check_result,
    damaged,
    dict_of,
    is_count,
    is_seconds,
    is_text,
    list_of,
    of_kind,
    shown,
)

LATER = frozenset(("mlflow_run_id", "wall_seconds", "exit_code"))
"""What result.json tells as it was after the journal had ended."""


def read_result(path: Path) -> dict[str, Any]:
    """The content of a result.json: complete, each known name with a value that it can have.

    Where the journal beside it ends with a result, it is that one.

    Raises:
        ConfigError: it is damaged.
        OSError: it is missing or unreadable.
    """
    content = read_object(path)
    check_result(content, path, whole=True)
    check_told(content, path)
    return content


def check_told(content: Mapping[str, Any], path: Path) -> None:
    """Refuse a result.json that is another than its journal ends with.

    Raises:
        ConfigError: naming what differs.
    """
    journal = path.with_name(JOURNAL)
    told = result_at_end(journal) if is_there(journal) else None
    if told is not None:
        found = json.loads(encode(content))  # the journal has words for what JSON cannot say
        for name in [name for name in {**told, **found} if name not in LATER]:
            if told.get(name) != found.get(name):
                raise damaged(
                    path, f"{name} is {shown(found.get(name))}, {shown(told.get(name))} in its journal"
                )


def read_sessions(path: Path) -> list[dict[str, Any]]:
    """The sessions that a session.json lists.

    Raises:
        ConfigError: it is damaged.
        OSError: it is missing or unreadable.
    """
    sessions = read_object(path).get("sessions")
    if not isinstance(sessions, list):
        raise ConfigError(f"{path} is damaged (it lists no sessions); restore it")
    for one in sessions:
        known = isinstance(one, dict) and all(
            isinstance(one.get(name), str) for name in ("id", "status", "reason")
        )
        if not known or not (one.get("usage_seconds") is None or is_seconds(one["usage_seconds"])):
            raise ConfigError(f"{path} is damaged (it lists what is no session); restore it")
    return sessions


def read_latest(path: Path) -> dict[str, Any]:
    """The same; nothing where the run has gone on since, as the end of the journal beside it says.

    Raises:
        ConfigError: it is damaged.
        OSError: it is missing or unreadable.
    """
    content = read_result(path)
    journal = path.with_name(JOURNAL)
    return {} if is_there(journal) and not is_ended(journal) else content


SWEEP: dict[str, Check] = {
    "id": is_text,
    "folder": is_text,
    "overrides": list_of(is_text),
    "values": of_kind(dict),
    "schemas": dict_of(is_text),
}
"""What every sweep.json tells."""
MORE: dict[str, Check] = {
    "config_dirs": list_of(is_text),
    "total": is_count,
    "sweeper": of_kind(dict),
    "energy_unit": is_text,
}
"""What one may tell, or say null."""
PLANNED: dict[str, Check] = {
    "number": is_count,
    "overrides": list_of(is_text),
    "label": dict_of(is_text),
    "changes": of_kind(dict),
    "schemas": dict_of(is_text),
}
"""What a line of runs.jsonl tells."""


def check_sweep(content: Mapping[str, object], path: Path, *, whole: bool = False) -> None:
    """Refuse what is no sweep.json; `whole`: what lacks something that going on with the sweep needs, too.

    Raises:
        ConfigError: naming what is wrong.
    """
    check_fields(content, SWEEP, path, whole=whole)
    check_fields({name: value for name, value in content.items() if value is not None}, MORE, path)


def check_fields(
    content: Mapping[str, object], fields: Mapping[str, Check], path: Path, *, whole: bool = False
) -> None:
    """Refuse a file that somebody changed.

    Raises:
        ConfigError: naming what is missing, or not what it should be.
    """
    for name, fits in fields.items():
        if whole and name not in content:
            raise ConfigError(f"{path} is damaged ({name} is missing); restore it")
        if name in content and not fits(content[name]):
            raise ConfigError(f"{path} is damaged ({name} is {shown(content[name])}); restore it")

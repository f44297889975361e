"""Keep tokens, passwords and account names out of everything that is written."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Iterator, Mapping
from configparser import ConfigParser
from configparser import Error as IniError
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

REDACTED = "[redacted]"

_SECRET_WORDS = r"token|api[_-]?key|secret|passw(?:or)?d|credential|authorization"
_SECRET_NAME = re.compile(_SECRET_WORDS, re.IGNORECASE)
_NEVER_SECRET = {"", "none", "null", "true", "false", "yes", "no", "auto"}

_HARMLESS = re.compile(r"[0-9a-f-]*|[a-z0-9 _.-]{0,24}").fullmatch
"""Identifiers, digests and short plain words, recognised quickly: most strings of most events."""

_PATTERNS = [
    # account names: Cloud Resource Names, user:password@ in an address
    (re.compile(r"crn:[\w-]+:[^\s\"',}\]\\]+", re.IGNORECASE), f"crn:{REDACTED}"),
    (re.compile(r"://[^/\s\"'@]+@"), f"://{REDACTED}@"),
    # a name that says secret, then a value: token=…, "api_key": "…", Authorization: Bearer …
    (
        re.compile(
            rf"((?:{_SECRET_WORDS})[\w.-]{{0,40}})([\"']?\s*[:=]\s*[\"']?(?:bearer\s+|basic\s+)?)"
            r"(?!(?:null|none|true|false|auto|bearer|basic)\b|\d+\b|\[redacted)[^\s\"',;}&\\]{4,}",
            re.IGNORECASE,
        ),
        rf"\1\2{REDACTED}",
    ),
    (re.compile(r"(bearer)\s+[\w.~+/-]{16,}=*", re.IGNORECASE), rf"\1 {REDACTED}"),
    # things that look like what they are: JSON web tokens, service tokens, IBM Cloud API keys, private keys
    (re.compile(r"eyJ[\w-]{10,}\.[\w-]{10,}(?:\.[\w-]*)?"), REDACTED),
    (re.compile(r"\b(?:gh[pousr]_|hf_|glpat-)[A-Za-z0-9_-]{20,}"), REDACTED),
    (re.compile(r"\bAKIA[0-9A-Z]{16}\b"), REDACTED),
    (re.compile(r"(?<![\w/+-])(?=[\w-]*[A-Z])(?=[\w-]*[a-z])(?=[\w-]*\d)[\w-]{44}(?![\w/+=-])"), REDACTED),
    (
        re.compile(
            r"-----BEGIN [A-Z ]*PRIVATE KEY-----[^\"']*?(?:-----END [A-Z ]*PRIVATE KEY-----|(?=[\"'])|\Z)"
        ),
        REDACTED,
    ),
]


def _from_environment() -> set[str]:
    """Values of environment variables whose name says that they are secret."""
    return {
        value
        for name, value in os.environ.items()
        if _SECRET_NAME.search(name) and len(value) >= 8 and value.lower() not in _NEVER_SECRET
    }


_protected = _from_environment()


def protect(value: str) -> None:
    """Never write `value` from now on (a token that was just read from an account)."""
    if len(value) >= 8:
        _protected.add(value)
        redact.cache_clear()
        nothing_to_hide.cache_clear()


def protect_saved() -> None:
    """Never write what the clients of services find in their usual places: the environment and the user's own files.

    IBM's account file, MLflow's and AWS's credentials; called before a client that reads them is made.
    """
    for value in _from_environment() | set(_from_files()):
        protect(value)


def _from_files() -> Iterator[str]:
    home = Path.home()
    with suppress(OSError, ValueError):
        accounts = json.loads((home / ".qiskit" / "qiskit-ibm.json").read_text(encoding="utf-8"))
        for account in accounts.values():
            if isinstance(account, dict):
                yield from (value for name, value in account.items() if hides(name, value))
    aws = os.environ.get("AWS_SHARED_CREDENTIALS_FILE", home / ".aws" / "credentials")
    for path in (home / ".mlflow" / "credentials", aws):
        with suppress(OSError, ValueError, IniError):
            file = ConfigParser(interpolation=None)
            file.read(path, encoding="utf-8")
            for section in file.sections():
                yield from (value for name, value in file.items(section) if hides(name, value))


@lru_cache(maxsize=1024)
def redact(text: str) -> str:
    """`text` without known secrets, named secrets, and what looks like one."""
    for value in _protected:
        text = text.replace(value, REDACTED)
    if _HARMLESS(text):
        return text
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


@lru_cache(maxsize=1024)
def nothing_to_hide(texts: tuple[str, ...]) -> bool:
    """Whether `redact` would leave all of these as they are."""
    return all(redact(text) == text for text in texts)


def redact_value(value: Any) -> Any:
    """`value` (mappings, lists, text, anything) with all text redacted, and whatever a secret name holds."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, (float, int)):  # a third faster than float | int
        return value
    if isinstance(value, Mapping):
        return {
            redact(key) if isinstance(key, str) else key: REDACTED
            if hides(str(key), item)
            else redact_value(item)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [redact_value(item) for item in value]
    return value


def hides(name: str, item: Any) -> bool:
    """Whether a name like `token` says that the text it holds is not to be shown."""
    return isinstance(item, str) and _sounds_secret(name) and item.lower() not in _NEVER_SECRET


@lru_cache(maxsize=1024)
def _sounds_secret(name: str) -> bool:
    return bool(_SECRET_NAME.search(name))


class RedactingFormatter(logging.Formatter):
    """A log formatter whose every line, tracebacks included, is redacted."""

    def format(self, record: logging.LogRecord) -> str:
        """Format `record` and redact the outcome."""
        return redact(super().format(record))

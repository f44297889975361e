"""Keep tokens, passwords and account names out of everything that leaves: MLflow, reports, logs, terminal, error texts.

What is stored to be read back, config.yaml and the journal, is never changed: a configuration that holds a secret is
refused instead, see `runner.declare.messages.check_secrets`.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from configparser import ConfigParser
from configparser import Error as IniError
from contextlib import suppress
from functools import cache, lru_cache
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote

REDACTED = "[redacted]"

SHORTEST = 12
"""Characters of the shortest value that counts as a secret: shorter ones are words that stand anywhere."""

_VARIABLE = re.compile(r"key|pass|token|secret|credential|cookie|signing|_(pat|pwd|auth)$", re.IGNORECASE)
"""What the name of an environment variable says whose value is a secret."""
_ADDRESS = re.compile(r"://([^/\s\"']+)@")
"""User name and password of an address."""
_SECRET_WORDS = r"token|api[_-]?key|secret|passw(?:or)?d|passphrase|credential|authorization"
_SECRET_NAME = re.compile(_SECRET_WORDS, re.IGNORECASE)
_ASKED = re.compile(r"://[^\s\"'?#]*\?([^\s\"']+)")
"""What stands behind the question mark of an address."""
_ASKED_SECRET = re.compile(rf"{_SECRET_WORDS}|(^|[._-])(pwd|auth|sig|signature)$", re.IGNORECASE)
_NEVER_SECRET = {"", "none", "null", "true", "false", "yes", "no", "auto"}

_HARMLESS = re.compile(r"[0-9a-f-]*|[a-z0-9 _.-]{0,24}").fullmatch
"""Identifiers, digests and short plain words, recognised quickly: most strings of most events."""

_UNMISTAKABLE = [
    # JSON web tokens, service tokens, private keys: whatever they are called
    re.compile(r"eyJ[\w-]{10,}\.[\w-]{10,}(?:\.[\w-]*)?"),
    re.compile(r"\b(?:gh[pousr]_|hf_|glpat-)[A-Za-z0-9_-]{20,}"),
    re.compile(r"\bAKIA[0-9A-Z]{16}\b"),
    re.compile(
        r"-----BEGIN [A-Z ]*PRIVATE KEY-----[^\"']*?(?:-----END [A-Z ]*PRIVATE KEY-----|(?=[\"'])|\Z)"
    ),
]

_PATTERNS = [
    *((pattern, REDACTED) for pattern in _UNMISTAKABLE),
    # account names: Cloud Resource Names, user:password@ in an address
    (re.compile(r"crn:[\w-]+:[^\s\"',}\]\\]+", re.IGNORECASE), f"crn:{REDACTED}"),
    (_ADDRESS, f"://{REDACTED}@"),
    # a name that says secret, then a value: token=…, "api_key": "…", Authorization: Bearer …
    (
        re.compile(
            rf"((?:{_SECRET_WORDS})[\w.-]{{0,40}})([\"']?\s*[:=]\s*[\"']?(?:bearer\s+|basic\s+)?)"
            rf"(?!(?:null|none|true|false|auto|bearer|basic)\b|\d+\b|\[redacted)[^\s\"',;}}&\\]{{{SHORTEST},}}",
            re.IGNORECASE,
        ),
        rf"\1\2{REDACTED}",
    ),
    (re.compile(r"(bearer)\s+[\w.~+/-]{16,}=*", re.IGNORECASE), rf"\1 {REDACTED}"),
]


_protected: dict[str, str] = {}
"""Value → what it is, in words."""
_choices: set[str] = set()
"""Names that plug-ins give their choices."""


def protect(value: str, origin: str = "the value of the account in use") -> None:
    """Never let `value` out from now on, unless it is too short for a secret or a word of ours.

    Args:
        value: what was just read from an account, a file or the environment.
        origin: what it is, for the message that refuses a configuration that holds it.
    """
    value = value.strip()
    in_a_page = escape(value, quote=False).replace('"', "&#34;").replace("'", "&#39;")  # as Jinja writes it
    fresh = {value, quote(value, safe=""), in_a_page, json.dumps(value)[1:-1]} - _protected.keys()
    if fresh and _may_be_secret(value):
        _protected.update(dict.fromkeys(fresh, origin))
        redact.cache_clear()


def protect_environment() -> None:
    """Never let out what the environment holds: values of variables by their names, and passwords in addresses."""
    for name, value in os.environ.items():
        if _VARIABLE.search(name):
            lines = [line for line in value.splitlines() if not line.startswith("-----")]
            for part in {value, *lines}:
                protect(part, f"the value of the environment variable {name}")
        for login in _ADDRESS.findall(value):
            for part in {login, unquote(login), login.partition(":")[2], unquote(login.partition(":")[2])}:
                protect(part, f"a login of the address in the environment variable {name}")


def protect_saved() -> None:
    """Never let out what the clients of services find in their usual places: the environment and the user's own files.

    IBM's account file, MLflow's and AWS's credentials; called before a client that reads them is made.
    """
    protect_environment()
    for value in _from_files():
        protect(value, "a value of an account file")


def secret_in(text: str) -> str | None:
    """What secret `text` holds, in words that do not tell it; None if there is none."""
    for value, origin in _protected.items():
        if value in text:
            return origin
    if any(":" in login for login in _ADDRESS.findall(text)):
        return "a password in an address"
    for asked in _ASKED.findall(text):
        for name, value in parse_qsl(asked.replace(";", "&").replace("#", "&")):
            if _ASKED_SECRET.search(name) and value.lower() not in _NEVER_SECRET:
                return f"a secret in an address ({name[:20]}=…)"
    if any(pattern.search(text) for pattern in _UNMISTAKABLE):
        return "what looks like a token or a private key"
    return None


def names_secret(variable: str) -> bool:
    """Whether the name of an environment variable says that its value is a secret."""
    return bool(_VARIABLE.search(variable))


def own_words(names: Iterable[str]) -> None:
    """Take names of choices for what they are, whatever the environment holds."""
    for name in set(names) - _choices:
        _choices.add(name)
        if _protected.pop(name, None):
            redact.cache_clear()


def _may_be_secret(value: str) -> bool:
    """Whether a value can be told from what a run says anyway: long enough, no number, no path, no word of ours."""
    if len(value) < SHORTEST or value in _choices:
        return False
    with suppress(ValueError):
        float(value)
        return False
    if value.startswith(("/", "~/")) and _exists(value):
        return False
    ours = _own_text()
    return value not in ours or not re.search(rf"(?<!\w){re.escape(value)}(?!\w)", ours)


def _exists(path: str) -> bool:
    with suppress(OSError, ValueError, RuntimeError):
        return Path(path).expanduser().exists()
    return False


@cache
def _own_text() -> str:
    """Everything we say ourselves: names and values of choices and presets, and the defaults of their schemas."""
    home = Path(__file__).resolve().parents[1]
    files = [
        *(home.parent / "conf").rglob("*.yaml"),
        *home.rglob("*.py"),
        *(home.parent / "experiments").rglob("*.py"),
    ]
    return "\n".join(f"{path.stem}\n{path.read_text(encoding='utf-8')}" for path in files)


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


def redact_value(value: object) -> Any:
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


def hides(name: str, item: object) -> bool:
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

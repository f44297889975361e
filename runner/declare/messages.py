"""Bad input becomes one line: what was wrong, what was expected, what to type instead.

Hydra's own errors run from 3 lines to 90-line tracebacks; everything it can raise while composing is turned
into a `ConfigError` here, and what it would silently accept is refused.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.declare.aliases import choice_meant, key_meant
from runner.declare.checks import nearest, plain, require_digits, require_number, require_text, shorten
from runner.declare.config import CONF, GROUPS, RunConfig
from runner.declare.hydra_support import PAGE, check_file, leaves, plain_content, plain_loader, refuse_key
from runner.declare.overrides import Override, Overrides
from runner.declare.provenance import foreign_keys, foreign_place
from runner.declare.registry import CHOICE, registered
from runner.errors import ConfigError, ConfigWarning, written_out
from runner.record.files import read_bytes, read_text
from runner.record.redaction import names_secret, protect_saved, redact, secret_in

if TYPE_CHECKING:
    from omegaconf import DictConfig
    from yaml import ScalarNode

SECRET = re.compile(
    r"(^|[._-])(token|secret|password|passwd|api_?key|crn|credentials?)($|[._-])", re.IGNORECASE
)
CODE_KEYS = {"_target_", "_partial_", "_args_", "_recursive_", "_convert_"}
MAX_YAML_BYTES = 1_000_000
MAX_YAML_NODES = 100_000
MAX_YAML_DEPTH = 64
MERGE = "tag:yaml.org,2002:merge"
KEY_TAGS = {"tag:yaml.org,2002:str", MERGE}
"""What a key may be read as: a word, or `<<`."""
NUMBER_TAGS = {"tag:yaml.org,2002:int", "tag:yaml.org,2002:float"}
LONGEST_NUMBER = 400
"""Digits of the longest number; 10³⁰⁸ in full has fewer."""
REFERENCE = re.compile(r"\$\{\s*\.*[A-Za-z_][\w.\[\]]*\s*\}")
"""The plain name of another key, the only thing in a text that is replaced."""


def check_overrides(overrides: Overrides) -> None:
    """Refuse what must not even be composed: code, secrets, Hydra internals, several choices at once.

    Raises:
        ConfigError: naming the key and the remedy.
    """
    for override in overrides:
        check_key(override.key, override.value)
        check_secrets({override.key or "command line": override.text})
        check_group(override)
        if override.swept:
            check_root(override.key)
            raise ConfigError(
                "several values given; add -m for a sweep, or write key=[a,b] for a list", key=override.key
            )
        if override.key in ("hydra.run.dir", "hydra.sweep.dir"):
            check_directory(str(override.value), override.key)


def check_root(key: str) -> None:
    """Refuse a key whose first part is none.

    Raises:
        ConfigError: naming the nearest.
    """
    root = re.split(r"[./@]", key.lstrip("+~"))[0]
    known = [item.name for item in fields(RunConfig)]
    if root not in (*known, "hydra"):
        raise ConfigError(f"unknown key{nearest(root, known)}", key=key)


def check_key(key: str, *value: object) -> None:
    """Refuse a key that could run code, hold a secret or is of Hydra's and not honoured; `value` where it is known."""
    if CODE_KEYS & set(re.split(r"[./@]", key)):
        raise ConfigError("configurations cannot name Python objects; choose by name instead", key=key)
    if SECRET.search(key):
        raise ConfigError(
            "secrets do not belong into a configuration; save the account with qiskit-ibm-runtime instead",
            key=key,
        )
    if key in ("hydra.launcher", "hydra.sweeper"):
        raise ConfigError(f"is chosen with a slash: {key.replace('.', '/')}=NAME", key=key)
    refuse_key(key, *value)


def check_secrets(values: Mapping[str, object]) -> None:
    """Refuse a configuration that holds a secret, before anything of it is stored.

    Args:
        values: dotted key → value; only texts, and lists and mappings of texts, can hold one.

    Raises:
        ConfigError: naming the key and where the secret is known from, not the secret.
    """
    protect_saved()
    if (found := secret_in(os.getcwd())) is not None:
        raise ConfigError(
            f"has a name that holds {found}, which would be stored; work in another folder, or rename it",
            key="the current folder",
        )
    for key, value in values.items():
        found = next(filter(None, map(secret_in, _texts(value))), None)
        if found is not None:
            raise ConfigError(
                f"must not hold {found}, for it would be stored; leave it to the environment "
                "(MLFLOW_TRACKING_PASSWORD, QISKIT_IBM_TOKEN) or an account file, or rename what is no secret",
                key=redact(key),
            )


def check_values(values: object, key: str = "") -> None:
    """Refuse nan, which no setting means anything by and what is no text.

    Args:
        values: what was composed, mappings and lists in each other.
        key: dotted path of it.

    Raises:
        ConfigError: naming the first setting that is none.
    """
    if isinstance(values, Mapping):
        for name, value in values.items():
            check_values(value, f"{key}.{name}" if key else str(name))
    elif isinstance(values, list):
        for index, value in enumerate(values):
            check_values(value, f"{key}[{index}]")
    elif isinstance(values, float) and math.isnan(values):
        require_number(key, values)
    elif isinstance(values, str):
        require_text(values, key)


def _texts(value: object) -> Iterator[str]:
    """Every text in a value, the keys of mappings included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from (*_texts(key), *_texts(item))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)


def check_group(override: Override) -> None:
    """Refuse what Hydra would take for a config group and cannot be one: whole folders, schemas, several places."""
    key = override.key
    if not key:
        raise ConfigError(f"{shorten(override.text, 40)!r} has no key; write key=value", key="command line")
    if key == "hydra":
        raise ConfigError("is set key by key, e.g. hydra.run.dir=…; see docs/hydra.md", key=key)
    if re.match(r"schema($|/)", key):
        raise ConfigError("unknown key; schemas belong to their choices, which are chosen by name", key=key)
    if override.package is not None:
        raise ConfigError(
            f"a choice has one place; write {key}=… without @{override.package}",
            key=override.element,
        )


def check_directory(directory: str, key: str = "hydra.run.dir") -> None:
    """Refuse a run directory that climbs out of the current folder; an absolute path is taken as meant."""
    check_secrets({key: directory})
    for variable in re.findall(r"\$\{\s*oc\.env\s*:\s*([^,}\s]*)", directory):
        if names_secret(variable):
            raise ConfigError(
                f"would become a name with what {variable} holds in it; name the directory otherwise", key=key
            )
    if not directory.isprintable() or not directory.strip():
        raise ConfigError("is not a directory name; give a path of one line", key=key)
    if directory.startswith("~"):
        raise ConfigError(f"{directory!r}: ~ is your shell's; type {key}=$HOME/… or the whole path", key=key)
    existing = next(
        one
        for one in (Path(directory).absolute(), *Path(directory).absolute().parents)
        if os.path.exists(one)
    )
    if not os.path.isdir(existing):
        raise ConfigError(f"{str(existing)!r} is no folder; name another directory", key=key)
    if not Path(directory).is_absolute() and not Path(directory).resolve().is_relative_to(Path.cwd()):
        raise ConfigError(
            f"{directory!r} leaves the current folder; use a path below it or an absolute one",
            key=key,
        )


def check_config_dir(directory: str) -> None:
    """Refuse a config folder that is missing or holds YAML that no parser should be given.

    Raises:
        ConfigError: naming file, line and column.
    """
    require_text(str(directory), "--config-dir")
    if not Path(directory).is_dir():
        raise ConfigError(
            f"{directory!r} is no folder; give the folder that holds your config groups", key="--config-dir"
        )
    for name in ("config.yaml", "schema"):
        if (Path(directory) / name).exists():
            raise ConfigError(
                f"{directory} holds {name}, which would take the place of ours; give presets as experiment/NAME.yaml",
                key="--config-dir",
            )
    for path in _yaml_files(directory):
        check_yaml(path)
        check_file(path, path.relative_to(directory))
        for key, value in leaves(plain_content(path, read_text(path)), ""):
            foreign_keys(str(path), key)
            foreign_place(str(path), key, value)


def _yaml_files(directory: str) -> Iterator[Path]:
    """What Hydra might read below a folder, behind links too."""
    seen = set()
    for folder, folders, files in os.walk(directory, followlinks=True):
        folders[:] = [] if os.path.realpath(folder) in seen else sorted(folders)
        seen.add(os.path.realpath(folder))
        yield from (Path(folder, name) for name in sorted(files) if name.endswith(".yaml"))


def check_yaml(path: Path) -> None:
    """Refuse a YAML file that is empty, not UTF-8, too large, tagged, or not valid.

    Raises:
        ConfigError: `file:line:column: what is wrong`.
    """
    import yaml

    try:
        text = read_bytes(path, MAX_YAML_BYTES).decode()
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"is not UTF-8 text (byte {error.start}); save it as UTF-8", key=str(path)
        ) from error
    if text.startswith("\ufeff"):
        raise ConfigError("begins with a byte order mark; save it as UTF-8 without one", key=str(path))
    if not text.strip():
        raise ConfigError("file is empty; delete it or declare something", key=str(path))
    for number, line in enumerate(text.splitlines(), 1):
        if re.match(r" *\t", line):
            raise ConfigError("a tab is used for indentation; use spaces", key=f"{path}:{number}")
    try:
        _check_nodes(path, text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
        raise ConfigError(
            f"{shorten(error.problem or str(error), 90)}; correct the YAML", key=where
        ) from error
    except ConfigError:
        raise
    except RecursionError as error:
        raise ConfigError(f"is nested more than {MAX_YAML_DEPTH} deep; simplify it", key=str(path)) from error
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{shorten(str(error), 90)}; correct the YAML", key=str(path)) from error


def _check_nodes(path: Path, text: str) -> None:
    import yaml

    sizes: dict[int, int] = {}

    def size(node: yaml.Node, where_in: str = "") -> int:
        """Number of nodes once every alias is expanded; refuses tags and repeated keys on the way."""
        if id(node) in sizes:
            return sizes[id(node)]
        where = f"{path}:{node.start_mark.line + 1}:{node.start_mark.column + 1}"
        if not str(node.tag).startswith("tag:yaml.org,2002:") or "python" in str(node.tag):
            raise ConfigError(f"tag {node.tag!r} is not allowed; write plain values", key=where)
        if where_in.count(".") > MAX_YAML_DEPTH:
            raise ConfigError(f"is nested more than {MAX_YAML_DEPTH} deep; simplify it", key=where)
        total = 1
        if isinstance(node, yaml.ScalarNode):
            _check_scalar(node, where)
        elif isinstance(node, yaml.SequenceNode):
            total += sum(size(item, f"{where_in}.") for item in node.value)
        elif isinstance(node, yaml.MappingNode):
            seen = set()
            for key, value in node.value:
                line = f"{path}:{key.start_mark.line + 1}"
                if not isinstance(key, yaml.ScalarNode) or key.tag not in KEY_TAGS:
                    told = (
                        shorten(str(key.value), 40)
                        if isinstance(key, yaml.ScalarNode)
                        else "a list or mapping"
                    )
                    raise ConfigError(f"{told} is no name of a setting; write a word, or quote it", key=line)
                if key.value in seen:
                    raise ConfigError(f"key {key.value!r} stands twice; keep one", key=line)
                seen.add(key.value)
                _check_key_in(line, str(key.value))
                if not isinstance(value, yaml.MappingNode):
                    foreign_keys(line, f"{where_in}{key.value}")
                if key.tag == MERGE and isinstance(value, yaml.ScalarNode):
                    raise ConfigError("<< takes a mapping; give one, or leave it out", key=line)
                inside = where_in if key.tag == MERGE else f"{where_in}{key.value}."
                total += 1 if key.tag == MERGE else size(key)
                total += size(value, inside)
        if total > MAX_YAML_NODES:
            raise ConfigError(f"expands to more than {MAX_YAML_NODES} nodes; simplify it", key=where)
        sizes[id(node)] = total
        return total

    root = yaml.compose(text, Loader=plain_loader())
    if root is not None:
        size(root)


def _check_key_in(line: str, key: str) -> None:
    """Refuse what `check_key` does, with file and line of it: the file may be one that nobody chose."""
    try:
        check_key(key)
    except ConfigError as error:
        raise ConfigError(str(error), key=line) from error


def _check_scalar(node: ScalarNode, where: str) -> None:
    """Refuse a resolver, however it is written, and a number that is not the one that stands there, or none."""
    from yaml import YAMLError

    require_text(node.value, where)
    require_digits(node.value, where)
    check_references(node.value, where)
    if node.tag in NUMBER_TAGS and (":" in node.value or re.match(r"[-+]?0[0-7_]+$", node.value)):
        raise ConfigError(
            f"{shorten(node.value, 40)} is read in base {60 if ':' in node.value else 8}; "
            "write it as a decimal number, or quote it",
            key=where,
        )
    if node.tag in NUMBER_TAGS and len(node.value) > LONGEST_NUMBER:
        raise ConfigError(f"{shorten(node.value, 40)} has too many digits; write fewer", key=where)
    try:
        plain_loader()("").construct_object(node)
    except (YAMLError, ValueError, OverflowError) as error:
        raise ConfigError(
            f"{shorten(node.value, 40)} cannot be read ({shorten(str(error), 60)}); quote it if it is a text",
            key=where,
        ) from error


def check_references(text: str, key: str) -> None:
    """Refuse all that OmegaConf would work out in a text, but the plain name of another key.

    Raises:
        ConfigError: what to write instead.
    """
    if len(REFERENCE.findall(text)) == text.count("${"):
        return
    if match := re.search(r"\$\{\s*([\w.]+)\s*:", text):
        raise ConfigError(
            f"resolver {match[1]!r} is not allowed; write the value, or ${{key}} of another", key=key
        )
    raise ConfigError(f"{shorten(text, 60)!r} names no key; write ${{key}}, or the value", key=key)


def _instead(group: str, value: object) -> str:
    """What to type instead of a value that is no name."""
    if group == "estimator" and isinstance(value, int) and not isinstance(value, bool):
        return f"type estimator.default_shots={value}"
    if group == "tracking" and isinstance(value, bool):
        return f"type tracking={'mlflow' if value else 'off'}"
    return "name one"


def check_choices(overrides: Overrides, options: Callable[[str], list[str]]) -> None:
    """Refuse a choice that a config group does not have.

    Args:
        overrides: what is typed.
        options: gives the choices of a group.

    Raises:
        ConfigError: with the nearest valid name.
    """
    for override in overrides:
        group, value = override.key, override.value
        if group not in (*GROUPS, "hydra/launcher", "hydra/sweeper"):
            continue
        if override.sign == "~":
            raise ConfigError("required, cannot be removed; choose one instead", key=group)
        if override.sign:
            raise ConfigError(f"is set already; drop the {override.sign}: {group}={value}", key=group)
        if not isinstance(value, str):
            shown = shorten(str(value), 40)
            raise ConfigError(f"takes one choice, got {shown}; {_instead(group, value)}", key=group)
        known = options(group)
        if value not in known and (
            typed := choice_meant(group, value, {name: options(name) for name in GROUPS})
        ):
            raise ConfigError(f"{shorten(value, 40)!r} not found; type {typed}", key=group)
        if not CHOICE.fullmatch(value):
            raise ConfigError(
                f"{shorten(value, 40)!r} is no choice; a name matches [a-z0-9_-]+{nearest(value, known)}",
                key=group,
            )
        if value not in known:
            more = "" if group in GROUPS else f"; Hydra's plug-ins are not used, {PAGE} shows how to add one"
            raise ConfigError(f"{value!r} not found{nearest(value, known)}{more}", key=group)


@contextlib.contextmanager
def warnings_in_one_line() -> Iterator[None]:
    """What may not be as it was meant is said once, as `warning: key: what`; other warnings stay as they are."""
    usual, told = warnings.showwarning, set()

    def show(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
        text = " ".join(str(message).split())
        if not issubclass(category, ConfigWarning):
            usual(message, category, *where, **more)
        elif text not in told:
            told.add(text)
            print(written_out(redact(f"warning: {text}")), file=sys.stderr)

    with warnings.catch_warnings():
        warnings.simplefilter("always", ConfigWarning)
        warnings.showwarning = show
        yield


@contextlib.contextmanager
def translated(folders: Sequence[Path] = (CONF,)) -> Iterator[None]:
    """Turn whatever Hydra, OmegaConf or PyYAML raise into one line.

    Args:
        folders: where the composed files are, to name the line in which a fault stands.

    Raises:
        ConfigError: what was wrong, with the key or the file and line.
    """
    import yaml
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    try:
        yield
    except ConfigError:
        raise
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{mark.name}:{mark.line + 1}:{mark.column + 1}" if mark else "YAML"
        raise ConfigError(
            f"{shorten(error.problem or str(error), 90)}; correct the YAML", key=where
        ) from error
    except OmegaConfBaseException as error:
        raise explain(error, folders) from error
    except HydraException as error:
        below = (error.__cause__, error.__context__)
        cause = next((one for one in below if isinstance(one, OmegaConfBaseException)), None)
        raise explain(cause or error, folders, outer=error) from error


def explain(error: Exception, folders: Sequence[Path], outer: Exception | None = None) -> ConfigError:
    """The one line for an error of Hydra or OmegaConf."""
    from omegaconf import errors

    text = str(outer or error)
    if (group := _without_schema(f"{error} {text}")) is not None:
        return no_schema(group)
    key = str(getattr(error, "full_key", None) or "") or _key_in(text) or "configuration"
    if "An item is already at" in text:
        key = re.search(r"at '([^']+)'", text)[1]  # type: ignore[index]
        return ConfigError("is set already; drop the +", key=key)
    if isinstance(error, errors.ConfigKeyError | errors.ConfigAttributeError) or "not in '" in text:
        return ConfigError(_unknown(key, error) + _where(text, key, folders), key=key)
    if match := re.match(r"Could not delete from config. '([^']+)'", text):
        return ConfigError("required, cannot be removed; give it a value instead", key=match[1])
    if text.startswith("Error merging override ~"):
        return ConfigError("required, cannot be removed", key=key)
    if isinstance(error, errors.ConfigTypeError):
        return ConfigError("does not fit what is there; see --help", key=key)
    if isinstance(error, errors.MissingMandatoryValue):
        return ConfigError(f"mandatory value missing; give {key}=…", key=key)
    if "is not a ListConfig, list or tuple" in f"{error} {text}":  # Hydra's own words leave it out
        return ConfigError(_no_list(getattr(error, "value", None)) + _where(text, key, folders), key=key)
    if match := re.match(
        r"In '[^']+': ValidationError raised while composing config:\n(.*)", text, flags=re.DOTALL
    ):
        return ConfigError(_wrong_type(match[1]) + _where(text, key, folders), key=key)
    if isinstance(error, errors.ValidationError):
        return ConfigError(_wrong_type(str(error)) + _where(text, key, folders), key=key)
    if match := re.search(r"Could not find '([^']+)'", text):
        group, _, choice = match[1].rpartition("/")
        return ConfigError(f"{choice!r} not found", key=group or "configuration")
    if match := re.search(r"Could not override '([^']+)'", text):
        return ConfigError("unknown key", key=match[1])
    return ConfigError(shorten(text.splitlines()[0], 140), key=key)


def no_schema(group: str) -> ConfigError:
    """The one line for a choice that nobody can check."""
    return ConfigError(
        f"names no schema; let its file begin with `defaults: [/schema/{group}/NAME@_here_, _self_]`, "
        f"NAME being one of {shorten(', '.join(registered()[group]), 110)}",
        key=group,
    )


def _without_schema(text: str) -> str | None:
    """The group whose choice was merged into the base of its schemas, or is of another group; None of other errors."""
    match = re.search(r"not in '(\w+)'|not a subclass of (\w+)", text)
    base = match and (match[1] or match[2])
    for group, schemas in registered().items() if base else ():
        above = {cls.__name__ for schema in schemas.values() for cls in schema.__mro__[1:]}
        if base in above - {schema.__name__ for schema in schemas.values()}:
            return group
    return None


def misfit_in_an_experiment(error: Exception) -> str | None:
    """The key that an experiment's file sets and the choice composed with it does not take; None for other errors."""
    match = re.match(
        r"In 'experiment/[^']+': (?:ConfigKeyError|ValidationError).*?full_key: (\S+)",
        str(error),
        flags=re.DOTALL,
    )
    return match[1] if match else None


def _key_in(text: str) -> str:
    match = re.search(r"full_key: (\S+)", text) or re.search(r"override [~+]*([\w.]+)=", text)
    return match[1] if match else ""


def _unknown(key: str, error: Exception) -> str:
    from omegaconf import OmegaConf

    parent = getattr(error, "parent_node", None)
    name = key.rpartition(".")[2]
    known = (
        [str(item) for item in parent if item != "hydra"]
        if parent is not None and OmegaConf.is_dict(parent)
        else _fields_of(error)
    )
    same = [item for item in known if plain(item) == plain(name)]
    if same:
        return f"unknown key; did you mean {same[0]!r}?"
    if match := re.match(r"hydra\.(launcher|sweeper)\.", key):
        return f"the {match[1]} that is chosen has no such key; choose another with hydra/{match[1]}=NAME"
    typed = key_meant(key)
    if (
        typed
        and typed.partition(".")[0] in (key.partition(".")[0], typed)
        and typed.rpartition(".")[2] not in known
    ):
        typed = ""  # the choice that is made lacks it
    if typed:
        return f"unknown key; type {typed}=…{_choices_with(key)}"
    deeper = [path for path in _paths(parent) if path.rpartition(".")[2] == name]
    if deeper:
        return f"unknown key; did you mean {deeper[0]!r}?"
    if owners := _choices_with(key) or _choices_with(key_meant(key)):
        return f"unknown key{owners}"
    return f"unknown key{nearest(name, known)}" if known else "unknown key"


def _choices_with(key: str) -> str:
    """`; optimizer.alpha is a key of spsa, qn_spsa`: which schemas have a key that those chosen lack."""
    from runner.declare.registry import registered

    group, _, asked = key.rpartition(".")
    every = [
        item.name for schemas in registered().values() for cls in schemas.values() for item in fields(cls)
    ]
    name = next((one for one in every if plain(one) == plain(asked)), asked)
    owners = [
        (f"{part}.{name}", schema)
        for part, schemas in registered().items()
        for schema, cls in schemas.items()
        if group in ("", part) and name not in ("", "name") and name in {item.name for item in fields(cls)}
    ]
    if not owners:
        return ""
    keys = list(dict.fromkeys(full for full, _ in owners))
    schemas = shorten(", ".join(schema for _, schema in owners), 70)
    presets = [choice for full in keys for choice in _setting(*full.split(".")) if choice not in schemas]
    return (
        f"; {' and '.join(keys)} {'are keys' if len(keys) > 1 else 'is a key'} of {schemas}"
        f"{', as in ' + shorten(', '.join(presets), 70) if presets else ''}"
    )


def _setting(part: str, name: str) -> list[str]:
    """Our choices of a part whose files give a setting a value."""
    begins = re.compile(rf"^{re.escape(name)}: *(?!null\b)", re.MULTILINE)
    files = sorted((CONF / part).glob("*.yaml"))
    return [file.stem for file in files if begins.search(read_text(file))]


def _fields_of(error: Exception) -> list[str]:
    """Field names of the schema that refused a key while a YAML file was merged into it."""
    match = re.search(r"not in '(\w+)'", str(error))
    for schemas in registered().values():
        for cls in schemas.values():
            if match and cls.__name__ == match[1]:
                return [item.name for item in fields(cls)]
    return []


def _paths(node: Any, prefix: str = "") -> list[str]:
    from omegaconf import OmegaConf

    if not OmegaConf.is_dict(node):
        return []
    paths = []
    for key in node:
        if key == "hydra" or OmegaConf.is_missing(node, key) or OmegaConf.is_interpolation(node, key):
            continue
        path = f"{prefix}{key}"
        paths.append(path)
        paths.extend(_paths(node[key], f"{path}."))
    return paths


def _wrong_type(message: str) -> str:
    told = re.sub(r"^In '[^']+': \w+ raised while composing config:\s*", "", message)
    first = shorten(told.split("full_key")[0], 200)
    if match := re.match(r"Value '(.*)' of type '(\w+)' could not be converted to (\w+)", first):
        value, _, wanted = match.groups()
        expected = {"Integer": "an integer", "Float": "a number", "Boolean": "true or false"}.get(
            wanted, wanted
        )
        hint = ""
        if wanted == "Integer":
            with contextlib.suppress(ValueError, OverflowError):
                hint = f"; write {int(float(value))}" if float(value) == int(float(value)) else ""
            with contextlib.suppress(ValueError):
                hint = f"; write {int(value, 0)}"  # 0x10, 0b11
        return f"expected {expected}, got {shorten(value, 40)!r}{hint}"
    if match := re.match(r"Value '(.*)' is not a valid bool", first):
        return f"expected true or false, got {shorten(match[1], 40)!r}"
    if match := re.match(r"field '(\w+)' is not Optional|.*is not Optional|Incompatible value 'None'", first):
        return "needs a value, got null"
    if match := re.match(r"Invalid type assigned: (\w+) is not a subclass of \w+. value: (.*)", first):
        return (
            f"has settings of its own, got {shorten(match[2].strip(), 40)}; set one of them, as --help shows"
        )
    if match := re.match(r"Value '(.*)' of type '(\w+)' is incompatible with type hint '(.*)'", first):
        wanted = match[3].replace("Optional", "").replace("Union", "").strip("[]").replace("NoneType", "null")
        return f"expected {' or '.join(part.strip() for part in wanted.split(','))}, got {shorten(match[1], 40)!r}"
    return shorten(first, 120)


def _no_list(value: object) -> str:
    """What is said of a value that stands where a list belongs."""
    if value is None or isinstance(value, dict):
        return "expected a list, in [ and ]"
    word = shorten(str(value).lower() if isinstance(value, bool) else str(value), 40)
    return f"expected a list, got {word}; write [{word}]"


def _where(text: str, key: str, folders: Sequence[Path]) -> str:
    """` (file:line)` when the fault stands in one of the YAML files rather than on the command line."""
    match = re.match(r"In '([^']+)'", text)
    for folder in folders if match else ():
        path = folder / f"{match[1]}.yaml"  # type: ignore[index]
        if path.is_file():
            for number, line in enumerate(read_text(path).splitlines(), 1):
                if re.match(rf"\s*{re.escape(key.rpartition('.')[2])}\s*:", line):
                    return f" ({path}:{number})"
            return f" ({path})"
    return ""


def check_resolvable(config: DictConfig) -> None:
    """Refuse missing values, resolvers, and references that lead nowhere or in a circle.

    Raises:
        ConfigError: naming the key; nothing is left to be found out in the middle of a run.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    for key, raw in _raw_values(OmegaConf.to_container(config, resolve=False)):
        if raw == "???":
            raise ConfigError(f"mandatory value missing; give {key}=…", key=key)
        if not isinstance(raw, str) or "${" not in raw:
            continue
        check_references(raw, key)
        try:
            OmegaConf.select(config, key, throw_on_missing=True)
        except RecursionError as error:
            raise ConfigError(f"{raw} refers to itself in a circle; write a value", key=key) from error
        except OmegaConfBaseException as error:
            raise ConfigError(f"{raw} refers to nothing; name an existing key", key=key) from error


def _raw_values(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Dotted key and value of everything in nested containers."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _raw_values(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _raw_values(item, f"{path}[{index}]")
    else:
        yield path, value


def check_complete(config: DictConfig) -> None:
    """Refuse keys that were taken out of a schema or forced into one (`~key`, `++key`).

    Raises:
        ConfigError: naming the key.
    """
    from omegaconf import OmegaConf

    def visit(node: Any, prefix: str) -> None:
        cls = OmegaConf.get_type(node)
        names = [item.name for item in fields(cls)] if is_dataclass(cls) else []
        if names:
            for name in names:
                if name not in node:
                    raise ConfigError("required, cannot be removed", key=prefix + name)
            for name in node:
                if name not in names:
                    raise ConfigError(f"unknown key{nearest(str(name), names)}", key=f"{prefix}{name}")
        for name in node:
            if not OmegaConf.is_interpolation(node, name) and OmegaConf.is_dict(child := node[name]):
                visit(child, f"{prefix}{name}.")

    visit(config, "")

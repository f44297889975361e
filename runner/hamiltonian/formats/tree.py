"""Documents as trees: JSON, YAML, and lists, dictionaries and operators as Python prints them."""

from __future__ import annotations

import ast
import json
import warnings
from typing import Any

from runner.declare.checks import shorten
from runner.errors import ConfigError
from runner.hamiltonian.formats.source import Source

MAX_PYTHON = 10_000_000
"""Characters of a Python literal."""
MAX_NODES = 10_000_000
"""Entries of a YAML document, aliases counted as often as they are used."""


class Pairs(list[tuple[Any, Any]]):
    """A dictionary's keys and values in the order written, repeated keys too."""

    def names(self) -> list[str]:
        """The keys in words."""
        return [key if isinstance(key, str) else str(key) for key, _ in self]


Tree = Any
"""A list, Pairs, or the text of a word or number as written."""


def _json(text: str) -> Tree:
    return _in_words(
        json.loads(text, object_pairs_hook=Pairs, parse_float=str, parse_int=str, parse_constant=str)
    )


def read_json(source: Source) -> Tree:
    """A JSON document.

    Raises:
        ConfigError: it is none.
    """
    try:
        tree = _json(source.text)
    except json.JSONDecodeError as error:
        raise source.refuse(
            f"is not JSON ({error.msg}, column {error.colno}); correct it", error.lineno
        ) from error
    except (ValueError, RecursionError) as error:
        raise source.refuse(f"is not JSON ({shorten(str(error), 60)}); correct it") from error
    source.locate = lambda place: _line_in_python(source.text, place)
    return tree


def read_json_lines(source: Source) -> Tree | None:
    """A list with the JSON list or dictionary of each line; None where not every line is one, or there is one line."""
    lines = [(number, text) for number, text in enumerate(source.lines(), 1) if text.strip()]
    if len(lines) < 2 or any(text.strip()[0] + text.strip()[-1] not in ("[]", "{}") for _, text in lines):
        return None
    try:
        trees = [_json(text) for _, text in lines]
    except (ValueError, RecursionError):
        return None
    source.locate = lambda place: lines[place[0]][0] if place else None
    return trees


def _in_words(tree: Any) -> Tree:
    """The tree with true, false and null as they are written; where they stand for a number they are refused."""
    if isinstance(tree, Pairs):
        return Pairs((key, _in_words(value)) for key, value in tree)
    if isinstance(tree, list):
        return [_in_words(item) for item in tree]
    return tree if isinstance(tree, str) else json.dumps(tree)


def read_python(source: Source) -> Tree:
    """A list, dictionary or SparsePauliOp(…) as Python prints it; nothing of it is carried out.

    Raises:
        ConfigError: it is none of these.
    """
    if len(source.text) > MAX_PYTHON:
        raise source.refuse(f"has more than {MAX_PYTHON} characters; write it as JSON")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            body = ast.parse(source.text.strip(), mode="eval").body
    except SyntaxError as error:
        raise source.refuse(
            f"is not understood ({error.msg}, column {error.offset}); write e.g. [['ZZ', 0.5]]",
            (error.lineno or 1) + _skipped(source.text),
        ) from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise source.refuse("is not understood (too deep); write e.g. [['ZZ', 0.5]]") from error
    source.locate = lambda place: _line_in_python(source.text, place)
    lines = [line.encode() for line in source.text.strip().split("\n")]
    return _Python(source, lines, _skipped(source.text)).tree(body)


def _skipped(text: str) -> int:
    """Lines before the first that is not blank."""
    return text[: len(text) - len(text.lstrip())].count("\n")


_SEQUENCES = (ast.List, ast.Tuple)
_WRAPPERS = (
    "array", "float64", "float32", "complex128", "complex64", "int64", "int32", "str_",
    "Pauli", "PauliList", "SparsePauliOp.from_list",
)  # fmt: skip
"""Calls with one argument that is what they stand for, as NumPy 2 and Qiskit print themselves."""


class _Python:
    """What stands in a Python expression; nothing of it is carried out."""

    def __init__(self, source: Source, lines: list[bytes], skipped: int) -> None:
        self.source = source
        self.lines = lines
        self.skipped = skipped

    def tree(self, node: ast.expr) -> Tree:
        """A node as a tree.

        Raises:
            ConfigError: it is none that operators are printed with.
        """
        if type(node) in _SEQUENCES:
            return [self.tree(item) for item in node.elts]  # type: ignore[attr-defined]
        if isinstance(node, ast.Dict):
            return Pairs(
                (self._key(key, node), self.tree(value))
                for key, value in zip(node.keys, node.values, strict=True)
            )
        if isinstance(node, ast.Call):
            return self._call(node)
        text = self._segment(node)
        if not isinstance(node, ast.Constant):
            return text.decode()
        if node.value is ...:
            raise self._refuse(
                "the print is abbreviated: '...' stands for what is left out; write all, e.g. print(op.to_list())",
                node,
            )
        if not isinstance(node.value, str):
            return text.decode()
        if len(text) != len(node.value.encode()) + 2:
            raise self._refuse(f"{shorten(node.value, 60)!r} is put together; write one word in quotes", node)
        return node.value

    def _key(self, key: ast.expr | None, node: ast.Dict) -> Tree:
        if key is None:
            raise self._refuse("holds **, which is no dictionary; write it out", node)
        return self.tree(key)

    def _call(self, node: ast.Call) -> Tree:
        """SparsePauliOp([labels], coeffs=[…]) as two lists with keys; what only wraps a label or number as that."""
        name = self._segment(node.func).decode()
        arguments = [self.tree(item) for item in node.args]
        keywords = {keyword.arg: self.tree(keyword.value) for keyword in node.keywords}
        if (
            name.removeprefix("numpy.").removeprefix("np.") in _WRAPPERS
            and len(arguments) == 1
            and not keywords
        ):
            return arguments[0]
        values = dict(zip(("data", "coeffs"), arguments, strict=False)) | keywords
        if (
            name == "SparsePauliOp"
            and len(arguments) + len(keywords) == 2
            and set(values) == {"data", "coeffs"}
        ):
            return Pairs([("paulis", values["data"]), ("coeffs", values["coeffs"])])
        raise self._refuse(
            f"{shorten(name, 40)}(…) is not understood; write SparsePauliOp([labels], coeffs=[numbers])", node
        )

    def _segment(self, node: ast.expr) -> bytes:
        """The text of a node."""
        first, last = node.lineno - 1, node.end_lineno or node.lineno
        if first + 1 == last:
            return self.lines[first][node.col_offset : node.end_col_offset]
        return b" ".join(
            self.lines[first:last]
        )  # no word or number goes over several lines: it is refused as it is

    def _refuse(self, message: str, node: ast.expr) -> ConfigError:
        return self.source.refuse(message, node.lineno + self.skipped)


def _line_in_python(text: str, place: tuple[int, ...]) -> int | None:
    """The line of a place in JSON or Python text; None where it is too large to look for, or not to be found."""
    if len(text) > MAX_PYTHON:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            node = ast.parse(text.strip(), mode="eval").body
        for step in place:
            match node:
                case ast.List() | ast.Tuple():
                    node = node.elts[step]
                case ast.Dict():
                    node = node.values[step]
                case ast.Call():
                    node = [*node.args, *(keyword.value for keyword in node.keywords)][step]
                case _:
                    break
    except (SyntaxError, ValueError, RecursionError, MemoryError, IndexError):
        return None
    return node.lineno + _skipped(text)


def read_yaml(source: Source) -> Tree:
    """A YAML document; every word stays as it is written, so that no label or number turns into something else.

    Raises:
        ConfigError: it is none.
    """
    import yaml

    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    try:
        root = yaml.compose(source.text, Loader=loader)
    except yaml.MarkedYAMLError as error:
        line = None if error.problem_mark is None else error.problem_mark.line + 1
        raise source.refuse(f"is not YAML ({shorten(str(error.problem), 80)}); correct it", line) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise source.refuse(f"is not YAML ({shorten(str(error), 80)}); correct it") from error
    if root is None:
        raise source.refuse("is empty; give at least one term, e.g. ZZ: 0.5")
    source.locate = lambda place: _line_in_yaml(root, place)
    return _Yaml(source).tree(root)


class _Yaml:
    def __init__(self, source: Source) -> None:
        self.source = source
        self.count = 0

    def tree(self, node: Any, depth: int = 0) -> Tree:
        """A node as a tree."""
        import yaml

        self.count += 1
        if self.count > MAX_NODES or depth > 50:
            raise self.source.refuse("is too large or too deep; write one list of [label, coefficient]")
        match node:
            case yaml.SequenceNode():
                return [self.tree(item, depth + 1) for item in node.value]
            case yaml.MappingNode():
                return Pairs(
                    (self.tree(key, depth + 1), self.tree(value, depth + 1)) for key, value in node.value
                )
            case _:
                return str(node.value)


def _line_in_yaml(node: Any, place: tuple[int, ...]) -> int:
    import yaml

    for step in place:
        if isinstance(node, yaml.SequenceNode):
            node = node.value[step]
        elif isinstance(node, yaml.MappingNode):
            node = node.value[step][1]
    return int(node.start_mark.line) + 1

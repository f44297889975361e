"""Angles written as text: `pi/2`, `-a`, `2*a + b` become numbers or Qiskit's parameter expressions; no code runs."""

from __future__ import annotations

import ast
import keyword
import math
import operator
import re
from collections.abc import Callable
from typing import Any

from runner.declare.checks import shorten
from runner.errors import ConfigError

CONSTANTS = {"pi": math.pi, "π": math.pi, "tau": math.tau, "τ": math.tau}
FUNCTIONS = {
    "sin": "sin", "cos": "cos", "tan": "tan", "arcsin": "asin", "arccos": "acos", "arctan": "atan",
    "exp": "exp", "log": "log",
}  # fmt: skip
"""Functions of parameters by Qiskit's names, and what `math` calls them."""
LONGEST = 200
_RESERVED = re.compile(rf"\b({'|'.join(word for word in keyword.kwlist if word.islower())})\b")
_MARK = "\u01bb"
"""A letter before a word that Python reserves (lambda, in), so that it is read as a name."""

_OPERATIONS: dict[type, Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
}


def names_in(text: str, key: str) -> list[str]:
    """The parameters of an angle, in order of appearance.

    Raises:
        ConfigError: it is no expression of numbers, names and functions.
    """
    names: dict[str, float] = {}

    def number(name: str) -> float:
        return names.setdefault(name, 0.5 + 0.1 * len(names))

    _value(_tree(text, key), number, text, key)
    return list(names)


def angle(text: str, parameter: Callable[[str], Any], key: str) -> Any:
    """The number, or the expression of `parameter(name)` for every name in it.

    Raises:
        ConfigError: see `names_in`.
    """
    return _value(_tree(text, key), parameter, text, key)


def _tree(text: str, key: str) -> ast.expr:
    plain = text.strip().replace("\u2212", "-")
    try:
        if len(plain) > LONGEST:
            raise SyntaxError
        tree = ast.parse(_RESERVED.sub(rf"{_MARK}\1", plain), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise _refused(text, key) from error
    for node in ast.walk(tree):
        if told := _near_miss(node):
            raise ConfigError(f"{shorten(text, 40)!r} has {told}", key=key)
    return tree


def _near_miss(node: ast.AST) -> str | None:
    """What looks like a constant or a function and is none, with what to write instead."""
    match node:
        case ast.Attribute(attr=name) if name in CONSTANTS or name in FUNCTIONS:
            return f"'.{name}' of a module; write {name}"
        case ast.Call(func=ast.Name(id=name)) if name not in FUNCTIONS:
            return f"{_name(name)!r}, which is no function here; use {', '.join(FUNCTIONS)}"
        case ast.Name(id=name) if name not in CONSTANTS and name.casefold() in CONSTANTS:
            return f"{name!r}, which is no constant; write {name.casefold()}"
        case ast.Name(id=name) if name.casefold() in ("inf", "infinity", "nan"):
            return f"{name!r}, which is no finite angle; write a number"
    return None


def _name(identifier: str) -> str:
    """A parameter's name as it was written."""
    plain = identifier.removeprefix(_MARK)
    return plain if keyword.iskeyword(plain) else identifier


def _value(node: ast.expr, parameter: Callable[[str], Any], text: str, key: str) -> Any:
    try:
        found = _evaluated(node, parameter)
    except (TypeError, KeyError, ValueError, RecursionError) as error:
        raise _refused(text, key) from error
    except ArithmeticError as error:
        raise ConfigError(f"{shorten(text, 40)!r} is no finite angle; correct it", key=key) from error
    if isinstance(found, complex) or (isinstance(found, float) and not math.isfinite(found)):
        raise ConfigError(f"{shorten(text, 40)!r} is no finite angle; correct it", key=key)
    return found


def _evaluated(node: ast.expr, parameter: Callable[[str], Any]) -> Any:
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return float(number)
        case ast.Name(id=name):
            return CONSTANTS[name] if name in CONSTANTS else parameter(_name(name))
        case ast.BinOp(left=left, op=op, right=right):
            return _OPERATIONS[type(op)](_evaluated(left, parameter), _evaluated(right, parameter))
        case ast.UnaryOp(op=op, operand=operand):
            value = _evaluated(operand, parameter)
            return value if isinstance(op, ast.UAdd) else _OPERATIONS[type(op)](value)
        case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]):
            value = _evaluated(argument, parameter)
            if isinstance(value, float):
                return getattr(math, FUNCTIONS[name])(value)
            return getattr(value, name if name in FUNCTIONS else "")()
        case _:
            raise TypeError(type(node).__name__)


def _refused(text: str, key: str) -> ConfigError:
    if text in ("True", "False", "None"):
        told = f"{text!r} is no name of a parameter, as it is a value; take another"
    elif re.fullmatch(r"\w+", text):
        told = f"{text!r} is no name of a parameter; use letters, digits and _, beginning with a letter"
    else:
        told = f"{shorten(text, 40)!r} is no angle; write a number, a name, or e.g. 2*a + pi/2"
    return ConfigError(told, key=key)

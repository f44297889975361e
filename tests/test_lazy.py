"""Libraries and rooms that load when something of them is first asked for."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys

import pytest

from runner import engine
from runner.lazy import Library


def test_a_library_loads_when_it_is_used_and_not_before() -> None:
    """By the interpreter's own list of modules, in a process that has loaded nothing else."""
    program = """
import sys
from runner.lazy import Library
wave = Library("wave")
copied = hasattr(wave, "__wrapped__")
before = "wave" in sys.modules
wave.open
print(copied, before, "wave" in sys.modules, vars(wave)["open"] is sys.modules["wave"].open)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["False", "False", "True", "True"]


def test_a_library_is_the_module_to_whoever_uses_it() -> None:
    """Submodules that it does not load itself are found; what it has not is refused in Python's words."""
    library = Library("xml")

    assert library.dom.Node is __import__("xml.dom").dom.Node
    assert pickle.loads(pickle.dumps(library)) is sys.modules["xml"]
    assert copy.copy(library) is sys.modules["xml"]
    with pytest.raises(AttributeError, match="module 'xml' has no attribute 'nothing'"):
        _ = library.nothing


def test_a_room_gives_what_its_face_lists() -> None:
    """Every name is there, and no other."""
    assert all(getattr(engine, name) is not None for name in engine.__all__)
    with pytest.raises(AttributeError, match=r"module 'runner\.engine' has no attribute 'nothing'"):
        _ = engine.nothing

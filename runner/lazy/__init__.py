"""What takes long to import is imported when something of it is first asked for: libraries here, rooms by `face`.

`from runner.lazy import np, qiskit` stands where `import numpy as np` would: `--help`, completion and a mistyped
key then load neither. A submodule is reached through its library, as `qiskit.quantum_info.SparsePauliOp`. Names of
types are imported below `if TYPE_CHECKING:` as usual. What derives from a library's class, or makes something with it
when it is imported, cannot wait.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import qiskit
    import rich
    import rich.console
    import rich.live
    import rich.table
    import rich.text
    from qiskit import primitives

__all__ = ["face", "np", "primitives", "qiskit", "rich"]


class Library(ModuleType):
    """A module that is imported when something of it is first asked for, from whichever thread."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__version__":  # copying and inspecting it load nothing
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        module = importlib.import_module(self.__name__)
        try:
            found = getattr(module, name)
        except AttributeError:
            try:
                found = importlib.import_module(f"{self.__name__}.{name}")
            except ModuleNotFoundError:
                raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}") from None
        self.__dict__[name] = found  # from now on it is found as in any module
        return found

    def __reduce__(self) -> tuple[Any, ...]:
        return importlib.import_module, (self.__name__,)


if not TYPE_CHECKING:
    np = Library("numpy")
    primitives = Library("qiskit.primitives")
    qiskit = Library("qiskit")
    rich = Library("rich")


def face(room: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """What a room's `__getattr__` is (PEP 562): names that are had from the room, each kept in one of its modules.

    Args:
        room: the package.
        homes: name → module of the package that holds it, loaded when the name is first asked for.
    """

    def look_up(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {room!r} has no attribute {name!r}")
        found = getattr(importlib.import_module(f"{room}.{homes[name]}"), name)
        vars(sys.modules[room])[name] = found
        return found

    return look_up

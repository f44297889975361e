"""What is typed after a benchmark's name: help, or what it knows, or one line that says what that is."""

from __future__ import annotations

import argparse
import sys
from typing import Any

QUICK: tuple[str, dict[str, Any]] = "--quick", {"action": "store_true", "help": "fewer and smaller cases"}


def read(module: str, doc: str, *words: tuple[str, dict[str, Any]]) -> argparse.Namespace:
    """What was typed; defaults where the module is only imported.

    Args:
        module: its `__name__`.
        doc: its docstring, which `--help` shows.
        words: what it knows, each a name and the keywords of `argparse`.
    """
    spec = sys.modules["__main__"].__spec__
    program = None if spec is None else f"python -m {spec.name.removesuffix('.__main__')}"
    parser = argparse.ArgumentParser(
        program, description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, how in words:
        parser.add_argument(name, **how)
    return parser.parse_args(sys.argv[1:] if module == "__main__" else [])

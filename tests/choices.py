"""The choices of conf/, built without Hydra: fast, and independent of how they are composed."""

from pathlib import Path
from typing import Any

import yaml

from runner.declare.registry import registered

CONF = Path(__file__).parents[1] / "conf"


def choices(group: str) -> list[str]:
    """Names of all choices of a group."""
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def choice(group: str, name: str, **changes: Any) -> Any:
    """The declaration of one choice, with some of its values changed."""
    values = yaml.safe_load((CONF / group / f"{name}.yaml").read_text(encoding="utf-8"))
    schema = values.pop("defaults")[0].removeprefix(f"/schema/{group}/").removesuffix("@_here_")
    return registered()[group][schema](**{**values, **changes})

"""Words for what a configuration is made of, where a type checker cannot know more."""

from __future__ import annotations

from typing import Any

Schema = type[Any]
"""The dataclass that checks a choice."""

Values = dict[str, Any]
"""A configuration or a part of it as plain containers: name → value, which may be such a part again."""

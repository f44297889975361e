"""The words typed at a shell: one file per verb, and what they share: help, completion, progress, the terminal."""

VERBS = (
    "run", "resume", "inspect", "list", "sessions", "compare", "watch", "ui",
    "forecast", "retime", "report", "export", "serve", "sync",
)  # fmt: skip
"""Modules of this folder that are verbs, in the order of `--help`; each has `VERB` and `main(line)`."""

SHARED = ("completion", "composed", "line", "manual", "search", "verb")
"""The others."""

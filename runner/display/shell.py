"""Words as a shell takes them, in one line that can be copied whatever they hold."""

from __future__ import annotations

import shlex

_ACTIVE = frozenset('"$`\\!')
"""What a shell obeys between double quotes."""


def quoted(word: object) -> str:
    r"""A word as a shell hands it on; one that no line shows as it is with its bytes written out, `$'a\012b'`.

    bash, zsh and ksh read the latter, and so does what follows POSIX of 2024.
    """
    text = str(word)
    if not text.isprintable():
        return f"$'{''.join(map(_written_out, text))}'"
    if "'" in text and not set(text) & _ACTIVE:
        return f'"{text}"'
    return shlex.quote(text)


def _written_out(character: str) -> str:
    if character.isprintable():
        return f"\\{character}" if character in "\\'" else character
    no_utf8 = "\udc80" <= character <= "\udcff"  # a byte that is none
    read = "surrogateescape" if no_utf8 else "surrogatepass"
    return "".join(f"\\{byte:03o}" for byte in character.encode("utf-8", read))


def command(*words: object) -> str:
    """What to type for `python -m runner` with these words."""
    return " ".join(["python -m runner", *map(quoted, words)])

"""Settings as YAML that can be pasted."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# YAML 1.1, which Meltano reads, takes these words for values of other types.
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
_UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")


def scalar(text: str) -> str:
    """Return a text as a YAML scalar on one line, quoted only where it must be."""
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    # A JSON text is a YAML text, but for what YAML wants escaped and JSON does not.
    quoted = json.dumps(text, ensure_ascii=False)
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", quoted)


def block(tree: Mapping[str, object], indent: int = 0) -> list[str]:
    """Return the lines of nested mappings of texts.

    Args:
        tree: Texts and mappings by name.
        indent: Spaces before the outermost names.
    """
    lines = []
    for name, node in tree.items():
        start = f"{' ' * indent}{scalar(name)}:"
        if isinstance(node, Mapping):
            lines += [start, *block(node, indent + 2)]
        else:
            lines.append(f"{start} {scalar(str(node))}")
    return lines

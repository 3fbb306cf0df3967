"""HTML elements as a tree: what is written of it has every text escaped."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias
from xml.etree import ElementTree as ET

from demandbase_api.redaction import plain

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

Child: TypeAlias = "Element | str | None"


def element(tag: str, *children: Child, **attributes: object) -> Element:
    """Return an element.

    Args:
        tag: Its name.
        children: Elements and texts; ``None`` is left out.
        attributes: Their names may end in ``_`` (``class_``), and ``_`` stands for ``-``. One that
            is ``None`` is left out.
    """
    found = ET.Element(tag, _attributes(attributes))
    for child in children:
        if isinstance(child, str):
            _append_text(found, plain(child))
        elif child is not None:
            found.append(child)
    return found


def style(css: str) -> Element:
    """Return a style sheet."""
    found = ET.Element("style")
    found.text = css
    return found


def document(*children: Element, lang: str) -> str:
    """Return an HTML document.

    Args:
        children: Its head and body.
        lang: Its language.
    """
    root = ET.Element("html", {"lang": lang})
    root.extend(children)
    text: str = ET.tostring(root, encoding="unicode", method="html")
    return f"<!DOCTYPE html>\n{text}\n"


def _attributes(attributes: dict[str, object]) -> dict[str, str]:
    return {
        name.rstrip("_").replace("_", "-"): plain(str(value))
        for name, value in attributes.items()
        if value is not None
    }


def _append_text(parent: Element, text: str) -> None:
    if len(parent):
        parent[-1].tail = (parent[-1].tail or "") + text
    else:
        parent.text = (parent.text or "") + text

"""Redaction of server messages, so that they can be shown and logged.

``redact`` removes secrets from any message: tokens, authorization headers and signed links.

``plain`` replaces the characters by which a text could control a terminal.

``mask_values`` also removes record values. The messages of imports are worth showing, since they
name the row, the column and the rule that rejected a row, but they may quote cells of the file in
any form, and Demandbase publishes no list of them. So only the words of a fixed list are shown, and
numbers of rows; all else is masked. The list is the one guarantee that no cell gets into these
messages. The alternative is a fixed sentence in place of every such message, which is what remains
of a message without any listed word.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_LENGTH = 300
"""Maximum length of a redacted message, in characters."""
LEFT_OUT = "its message is left out, since it may quote a record"
"""What remains of a message that has no listed word."""

MASK = "***"
"""What replaces a secret or a value."""

_MAX_READ = 4096
"""Characters of a text that are read: the time for some patterns grows with its square."""

_AUTHORIZATION = re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{12,}")
_JWT = re.compile(r"\beyJ[\w-]+(?:\.[\w-]*)*")
_USER_INFO = re.compile(r"(?<=://)[^\s/?#\"'<>]*@")
_QUERY = re.compile(r"(?i)(\bhttps?://[^\s?\"'<>]*)\?[^\s\"'<>]*")
# A link without scheme and host. The question mark of a sentence is followed by a space.
_BARE_QUERY = re.compile(r"(?<=[^\s?])\?[^\s\"'<>?=]+=[^\s\"'<>]*")


def redact(text: str, *secrets: str) -> str:
    """Return a text as one line of at most 300 printable characters without secrets.

    The query and the user name of a link count as secrets, like tokens and authorization headers.

    Args:
        text: Message of a server.
        secrets: Known secrets, such as the access token.
    """
    text = without_secrets(_beginning(text), secrets)
    text = _AUTHORIZATION.sub(rf"\1 {MASK}", text)
    text = _JWT.sub(MASK, text)
    text = _USER_INFO.sub(f"{MASK}@", text)
    text = _QUERY.sub(rf"\1?{MASK}", text)
    text = _BARE_QUERY.sub(f"?{MASK}", text)
    text = plain(" ".join(text.split()))
    return text if len(text) <= MAX_LENGTH else text[: MAX_LENGTH - 1] + "…"


def without_secrets(text: str, secrets: Iterable[str]) -> str:
    """Return a text in which known secrets are masked."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, MASK)
    return text


def plain(text: str) -> str:
    """Return a text as one line of printable characters.

    Control and escape characters, and those that change the direction of the text, are shown as
    Python's escape sequences.
    """
    return text if text.isprintable() else "".join(map(_printable, text))


def _printable(character: str) -> str:
    if character.isprintable():
        return character
    return " " if character.isspace() else character.encode("unicode_escape").decode("ascii")


def _beginning(text: str) -> str:
    """Return the whole words among the first characters: a part of a secret is not recognized."""
    if len(text) <= _MAX_READ:
        return text
    words = text[:_MAX_READ].rsplit(maxsplit=1)
    return f"{words[0]} …" if len(words) > 1 else "…"


_QUOTED = re.compile(r"\"[^\"]*\"|(?<!\w)'[^']*'(?!\w)|`[^`]*`|“[^”]*”|‘[^’]*’|«[^»]*»")  # noqa: RUF001
_CHUNK = re.compile(r"(?P<word>.*?)(?P<mark>[.,:;]?)", re.DOTALL)
_NUMBERED = {"row", "rows", "line", "lines", "Row", "Rows", "Line", "Lines"}
_ROW_NUMBER = re.compile(r"[0-9]{1,9}")

# Names of people and companies begin with a capital letter, so only these words may, and only
# at the beginning. Words that are also names (will, may, mark, grant) are in neither list.
_OPENERS = frozenset(
    """
    A An At Bad Cannot Column Could Data Duplicate Empty Error Errors Expected Failed Field Fields
    File Found Header Import In Internal Invalid Job Line Lines Malformed Missing No Parsing
    Processing Record Records Request Required Row Rows Server Some The There This Timeout Too
    Unable Unexpected Unknown Unsupported Upload Validation Value Values
    """.split()  # noqa: SIM905 - a list of words reads best as text
)

_ANYWHERE = frozenset({"BOM", "CSV", "Demandbase", "HTTP", "JSON", "UTF-8"})

_WORDS = _ANYWHERE | frozenset(
    """
    a above after again all allowed already also an and another any are as at bad be because been
    before begin begins below but by bytes cannot cell cells character characters column columns
    comma contain contained containing contains could create created data date day decoded decoding
    did different do does domain duplicate duplicated during each either email empty encoded
    encoding end ended ends error errors exceed exceeded exceeds exist exists expected fail failed
    fails failure few field fields file files first for format found from gave given got greater
    had has have header headers holds id import imported in incorrect integer internal into invalid
    is it its job key large larger last later length less limit line lines long longer lost
    malformed many match matched matches maximum mapped mapping missing more most must name near
    neither no none nor not nothing null number of on one only or order out outside over parse
    parsed parsing please process processed processing quota quote quoted quotes read reason
    received record records refused rejected request required retry row rows same schema second
    seconds see separator server should size some stopped such support supported syntax than that
    the there these this time timeout timed to too try two type types unable under unexpected
    unique unknown unquoted unreadable unsupported until upload uploaded uses valid validated
    validation value values was were when which while with within without wrong
    """.split()  # noqa: SIM905 - a list of words reads best as text
)


_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


def mask_name(text: str) -> str:
    """Return a name that a server gives, such as a type of error, masked if it is no identifier."""
    return text if _IDENTIFIER.fullmatch(text) else MASK


def mask_values(text: str) -> str:
    """Return a text in which everything but listed words and row numbers is masked.

    A text without any listed word becomes a fixed sentence.
    """
    parts: list[str] = []
    has_words = False
    previous = ""
    for number, chunk in enumerate(_QUOTED.sub(f" {MASK} ", _beginning(text)).split()):
        match = _CHUNK.fullmatch(chunk)
        word, mark = match.group("word", "mark") if match else (chunk, "")
        is_listed = word in _WORDS or (number == 0 and word in _OPENERS)
        if is_listed or (previous in _NUMBERED and _ROW_NUMBER.fullmatch(word)):
            has_words = has_words or is_listed
            parts.append(word + mark)
        elif word:
            _append_mask(parts, mark)
        elif parts and parts[-1][-1] not in ".,:;":
            parts[-1] += mark
        previous = word if not mark else ""
    if has_words:
        return " ".join(parts)
    return LEFT_OUT if text.strip() else ""


def _append_mask(parts: list[str], mark: str) -> None:
    """Append a mask, one for consecutive words: their number would reveal something of a value."""
    if parts and parts[-1].startswith(MASK):
        parts[-1] = MASK + mark
    else:
        parts.append(MASK + mark)

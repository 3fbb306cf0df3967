"""Makes a server's message fit to be shown: no token and no signed link."""

from __future__ import annotations

import re

LEFT_OUT = "its words are left out, since they may quote a record"

_MASK = "***"

_QUOTED = re.compile(r"\"[^\"]*\"|(?<!\w)'[^']*'(?!\w)|`[^`]*`|“[^”]*”|‘[^’]*’|«[^»]*»")  # noqa: RUF001

_CHUNK = re.compile(r"(?P<word>.*?)(?P<mark>[.,:;]?)", re.DOTALL)

_NUMBERED = {"row", "rows", "line", "lines", "Row", "Rows", "Line", "Lines"}

_ROW_NUMBER = re.compile(r"[0-9]{1,9}")

# Names of people and companies are written with a capital, so only these words may have one, and
# only at the beginning. Words that are also names (will, may, mark, grant) stand nowhere here.
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


def mask_values(text: str) -> str:
    """Return the text with all that is no plain word replaced by ``***``.

    Numbers stay where they number rows. A text of which nothing stays becomes a fixed phrase.
    """
    kept: list[str] = []
    told = False
    before = ""
    for number, chunk in enumerate(_QUOTED.sub(f" {_MASK} ", text).split()):
        match = _CHUNK.fullmatch(chunk)
        word, mark = match.group("word", "mark") if match else (chunk, "")
        plain = word in _WORDS or (number == 0 and word in _OPENERS)
        if plain or (before in _NUMBERED and _ROW_NUMBER.fullmatch(word)):
            told = told or plain
            kept.append(word + mark)
        elif word:
            _mask(kept, mark)
        elif kept and kept[-1][-1] not in ".,:;":
            kept[-1] += mark
        before = word if not mark else ""
    if told:
        return " ".join(kept)
    return LEFT_OUT if text.strip() else ""


def _mask(kept: list[str], mark: str) -> None:
    """Add a mask; a second one in a row would tell of how many words the value was."""
    if kept and kept[-1].startswith(_MASK):
        kept[-1] = _MASK + mark
    else:
        kept.append(_MASK + mark)


__all__ = ["MAX_LENGTH", "mask_values", "scrub"]

MAX_LENGTH = 300

_HEADER = re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{12,}")

_JWT = re.compile(r"\beyJ[\w-]+(?:\.[\w-]*)*")

_QUERY = re.compile(r"(?i)(\bhttps?://[^\s?\"'<>]*)\?[^\s\"'<>]*")

# A link without scheme and host; the question mark of a sentence is followed by a blank.
_BARE_QUERY = re.compile(r"(?<=[^\s?])\?[^\s\"'<>?=]+=[^\s\"'<>]*")

_USER = re.compile(r"(?<=://)[^\s/?#\"'<>]*@")


def scrub(text: str, *secrets: str) -> str:
    """Return one line of at most 300 characters without secrets.

    Args:
        text: What a server said.
        secrets: Texts that must not appear, such as the access token.

    Returns:
        The text with secrets, authorization headers, tokens, the query parts of links and their
        user names replaced by ``***``.
    """
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***")
    text = _HEADER.sub(r"\1 ***", text)
    text = _JWT.sub("***", text)
    text = _USER.sub("***@", text)
    text = _QUERY.sub(r"\1?***", text)
    text = _BARE_QUERY.sub("?***", text)
    text = " ".join(text.split())
    return text if len(text) <= MAX_LENGTH else text[: MAX_LENGTH - 1] + "…"

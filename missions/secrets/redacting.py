"""Secret values that this process knows, and taking them out of whatever leaves it.

Promises that a known value never stands in what `redact` returns, nor do its usual forms: escaped any number of times
for JSON or by Python, for HTML or a URL, base64, hexadecimal. Knows nothing of where values come from; must not keep
them anywhere but in memory. Not found: a value that is split, reversed, hashed, compressed or encrypted, and one that
this process never resolved.
"""

from __future__ import annotations

import base64
import html
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, quote_plus, unquote, urlsplit

LEAST = 6  # characters; less would black out ordinary words, so such values are refused where they are resolved
LINE = 16  # characters of one line of a longer value (a key file) that count as the value
VALUES = 16  # of one name that are known at once; the oldest was rotated away long ago
PLAIN = re.compile(r"[A-Za-z0-9 !#$%()*+,.:;=?@^_`{|}~\[\]-]+")  # what no escaping changes
ESCAPED = {"\n": "n", "\r": "r", "\t": "t", "\b": "b", "\f": "f"}



@dataclass(frozen=True, slots=True)
class Form:
    """One form of a value."""

    literal: str  # the form itself, or of one with many spellings the longest part that all of them share
    pattern: re.Pattern[str] | None  # all its spellings
    stand_in: str

    def without(self, text: str) -> str:
        """The text with each occurrence replaced."""
        if self.literal not in text:
            return text
        if self.pattern is None:
            return text.replace(self.literal, self.stand_in)
        return self.pattern.sub(lambda found: self.stand_in, text)


_lock = threading.Lock()
_known: dict[str, dict[str, dict[str, re.Pattern[str] | None]]] = {}  # name → value, the oldest first → its forms
_forms: tuple[Form, ...] = ()  # the longest first


def remember(name: str, value: str) -> None:
    """From now on this value reads `[secret NAME]`; any number of times, from any thread."""
    global _forms
    if value in _known.get(name, ()):
        return
    with _lock:
        values = _known.setdefault(name, {})
        values[value] = _forms_of(value)
        if len(values) > VALUES:
            del values[next(iter(values))]
        found = {
            form: (owner, pattern)
            for owner, values in _known.items() for forms in values.values() for form, pattern in forms.items()
        }  # fmt: skip
        _forms = tuple(
            Form(form if pattern is None else _shared(form), pattern, f"[secret {owner}]")
            for form, (owner, pattern) in sorted(found.items(), key=lambda item: -len(item[0]))
        )


def redact(value: Any) -> Any:
    """The same text, bytes or JSON without any known value; `[secret NAME]` stands in its place, in keys too."""
    if not _forms:
        return value
    if isinstance(value, str):
        return _clean(value)
    if isinstance(value, Mapping):
        return {redact(key): redact(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        items = [redact(item) for item in value]
        return tuple(items) if isinstance(value, tuple) else items
    if isinstance(value, bytes):
        return _clean(value.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
    return value


def forget() -> None:
    """Know nothing any more; for tests."""
    global _forms
    with _lock:
        _known.clear()
        _forms = ()


def _clean(text: str) -> str:
    for form in _forms:
        text = form.without(text)
    return text


def _forms_of(value: str) -> dict[str, re.Pattern[str] | None]:
    """Each form of a value, with a pattern where it has several spellings."""
    found: dict[str, re.Pattern[str] | None] = {}
    for part in _parts(value):
        found[part] = None if PLAIN.fullmatch(part) else re.compile("".join(map(_spelt, part)))
        for form in _encoded(part):
            found.setdefault(form, None)
    return found


def _shared(value: str) -> str:
    """The longest part of a value that no escaping changes; maybe empty, and then every text is searched."""
    return max(PLAIN.findall(value), key=len, default="")


def _spelt(sign: str) -> str:
    """The spellings of one character, escaped any number of times: JSON within JSON, what Python shows of a text."""
    if PLAIN.fullmatch(sign):
        return re.escape(sign)
    if sign in "\"'/\\":
        return r"\\" + ("+" if sign == "\\" else rf"*{re.escape(sign)}")
    code = ord(sign)
    units = sign.encode("utf-16-be", "surrogatepass").hex()
    spelt = [re.escape(sign), "".join(rf"\\+u(?i:{units[place:place + 4]})" for place in range(0, len(units), 4))]
    spelt += ["".join(rf"\\+x(?i:{byte:02x})" for byte in sign.encode("utf-8", "surrogateescape"))]
    spelt += [rf"\\+{ESCAPED[sign]}"] if sign in ESCAPED else [rf"\\+x{code:02x}"] if code < 256 else []
    return f"(?:{'|'.join(spelt)})"


def _parts(value: str) -> Iterator[str]:
    """The value, its longer lines, and the password inside a URL."""
    yield value
    lines = [line.strip() for line in value.splitlines()]
    if len(lines) > 1:
        yield from (line for line in lines if len(line) >= LINE)
    yield from (part for part in _passwords(value) if len(part) >= LEAST)


def _passwords(value: str) -> Iterator[str]:
    if "://" not in value:
        return
    try:
        password = urlsplit(value).password or ""
    except ValueError:
        return  # looked like a URL and is none
    yield from (password, unquote(password))


def _encoded(value: str) -> Iterator[str]:
    """The other forms in which a value usually travels."""
    raw = value.encode("utf-8", "surrogateescape")
    yield html.escape(value)
    for form in (quote(raw, safe=""), quote(raw), quote_plus(raw)):
        yield from (form, form.lower())
    yield from (raw.hex(), raw.hex().upper())
    yield from _base64(raw)


def _base64(raw: bytes) -> Iterator[str]:
    """What of the value base64 shows wherever it stands in a longer text (as after `user:`), in both alphabets."""
    yield base64.b64encode(raw).decode()
    for shift in range(3):
        whole = base64.b64encode(b"\0" * shift + raw).decode()
        first = (shift * 8 + 5) // 6  # characters that mix in what stands before
        last = len(whole) - (4 if (len(raw) + shift) % 3 else 0)  # a last group that mixes in what comes after
        inner = whole[first:last]
        if len(inner) >= LEAST:
            yield from (inner, inner.replace("+", "-").replace("/", "_"))

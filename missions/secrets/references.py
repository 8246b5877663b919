"""References to secrets, and the one way to their values.

`env:NAME` is an environment variable, `file:/path` the content of a file, `db:NAME` a row of the table of secrets. Only
the tool gateway resolves references, and what speaks to LLMs for its key; journal, pages and agents see the reference.
Synchronous and may ask the database: from an event loop, call it in a thread.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from missions.errors import SecretMissing
from missions.secrets import redacting, vault

FILE_BYTES = 64 * 1024
FORM = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*|file:/[^\x00\n]+|db:" + vault.NAME)
INSIDE = re.compile(r"\$\{((?:env|file|db):[^}\n]+)\}")  # a reference within a text


def is_reference(text: str) -> bool:
    """Whether this reads `env:NAME`, `file:/path` or `db:NAME`."""
    return FORM.fullmatch(text) is not None


def name_of(reference: str) -> str:
    """What a reference is called where its value would stand: the last part of it."""
    return reference.partition(":")[2].rsplit("/", 1)[-1]


def resolve(reference: str) -> str:
    """The value, without line breaks at its end; from now on it is redacted in this process.

    Raises SecretMissing, which names the reference and why, never a value.
    """
    if not is_reference(reference):
        raise missing(reference, "is no reference; write env:NAME, file:/path or db:NAME")
    scheme, _, place = reference.partition(":")
    value, why = {"env": _of_environment, "file": _of_file, "db": vault.find}[scheme](place)
    value = value.rstrip("\r\n")
    if why or not value:
        raise missing(reference, why or "is empty")
    if len(value) < redacting.LEAST:
        raise missing(reference, f"has less than {redacting.LEAST} characters, too few to keep it out of what is shown")
    redacting.remember(name_of(reference), value)
    return value


def resolve_all(references: Mapping[str, str]) -> dict[str, str]:
    """Name → value, for name → reference. Raises SecretMissing."""
    return {name: resolve(reference) for name, reference in references.items()}


def fill(text: str) -> str:
    """The text with each `${env:NAME}`, `${file:/path}` and `${db:NAME}` replaced. Raises SecretMissing."""
    return INSIDE.sub(lambda found: resolve(found[1]), text)


def listed(text: str) -> tuple[str, ...]:
    """The references that `fill` would resolve in this text."""
    return tuple(INSIDE.findall(text))


def missing(reference: str, why: str) -> SecretMissing:
    """That this reference leads to nothing, and why."""
    return SecretMissing(f"The secret {reference!r} {why}.", code=SecretMissing.code, reference=reference)


def _of_environment(name: str) -> tuple[str, str]:
    """The value and what is wrong with it, either empty."""
    value = os.environ.get(name)
    return (value, "") if value is not None else ("", "is no variable of this process's environment")


def _of_file(path: str) -> tuple[str, str]:
    try:
        with Path(path).open("rb") as file:
            raw = file.read(FILE_BYTES + 1)
    except OSError as error:
        return "", f"can not be read: {error.strerror}"
    if len(raw) > FILE_BYTES:
        return "", f"is over {FILE_BYTES // 1024} KiB"
    text = raw.decode("utf-8", "replace")
    return (text, "") if "\ufffd" not in text else ("", "is no UTF-8 text")

"""What a hook does with an event: its settings and formulas, checked field by field, and what an event means by them.

Pure, but that a mission type has to be registered here. Must not act: `arriving` does.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

from approvals.models.inbound import By, Scheme, Verb
from approvals.policies import formulas
from approvals.policies.expr import ExpressionError
from approvals.policies.formulas import FormulaFailed, Given, Want
from missions.engine.registry import get_type
from missions.errors import InvalidInput, UnknownType
from missions.secrets.references import is_reference
from missions.web.api import RESERVED

Json = dict[str, Any]
HEADER: Final = re.compile(r"[a-z0-9-]{1,60}")
TOLERANCE: Final = (1, 3600)
SIGNAL_LENGTH, KEY_LENGTH, TITLE_LENGTH = 200, 150, 200
HIDDEN: Final = frozenset({"authorization", "cookie", "proxy-authorization"})  # what no formula is shown
HEADER_LENGTH: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """All that a version says. Formulas are CEL over `payload` and `headers`; an empty one means its default."""

    active: bool = True
    scheme: str = Scheme.STANDARD
    header: str = ""  # where another than the scheme's own bears the signature
    tolerance_seconds: int = 300
    secret: str = ""  # a reference; empty: the hook's own
    when: str = ""  # only such events; empty: all
    verb: str = Verb.SIGNAL
    mission_by: str = By.ID
    mission: str = ""  # which mission is signalled
    signal: str = ""  # the signal's name, as it is
    payload: str = ""  # what the signal says; empty: the whole event
    type: str = ""  # the mission type that is started, as it is
    input: str = ""  # what the mission works on; empty: the whole event
    title: str = ""
    key: str = ""  # what tells one deed from another; empty: the event


FORMULAS: Final = {
    "when": Want.BOOL, "mission": Want.TEXT, "payload": Want.OBJECT, "input": Want.OBJECT, "title": Want.TEXT,
    "key": Want.TEXT,
}  # fmt: skip
UNUSED: Final = {Verb.SIGNAL: ("type", "input", "title"), Verb.START: ("mission", "signal", "payload")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """What one event means. `key` is its own where the mapping gives one, else None."""

    verb: str
    mission: str = ""
    mission_by: str = By.ID
    signal: str = ""
    type: str = ""
    title: str = ""
    body: Json
    key: str | None = None

    def told(self) -> Json:
        """As people are shown it."""
        return {name: value for name, value in asdict(self).items() if value not in ("", None)}


def content(values: Json) -> Content:
    """What was given, checked. Raises InvalidInput, each error with its field, and `line` and `column` of a formula."""
    known = {field.name for field in fields(Content)}
    found = Content(**{name: value for name, value in values.items() if name in known})
    errors = [*_settings(found), *_formulas(found), *_deeds(found)]
    if errors:
        raise InvalidInput("Nothing was kept.", errors=errors)
    return found


def _settings(given: Content) -> list[Json]:
    errors = []
    for name, choices in (("scheme", Scheme), ("verb", Verb), ("mission_by", By)):
        if getattr(given, name) not in choices.values:
            errors.append(fault(name, f"One of {', '.join(choices.values)}."))
    if given.header and not HEADER.fullmatch(given.header):
        errors.append(fault("header", "The name of a header in small letters, digits and -."))
    if not TOLERANCE[0] <= given.tolerance_seconds <= TOLERANCE[1]:
        errors.append(fault("tolerance_seconds", f"Between {TOLERANCE[0]} and {TOLERANCE[1]}."))
    if given.secret and not is_reference(given.secret):
        errors.append(fault("secret", "A reference: env:NAME, file:/path or db:NAME; empty for the hook's own."))
    return errors


def _formulas(given: Content) -> list[Json]:
    errors = []
    for name, want in FORMULAS.items():
        try:
            if source := getattr(given, name):
                formulas.checked(source, want)
        except ExpressionError as error:
            place = {"line": error.line, "column": error.column}
            errors.append({**fault(name, f"Line {error.line}, column {error.column}: {error.message}"), **place})
    return errors


def _deeds(given: Content) -> list[Json]:
    unused = UNUSED.get(Verb(given.verb), ()) if given.verb in Verb.values else ()
    errors = [fault(name, "It is not used where an event does this.") for name in unused if getattr(given, name)]
    if given.verb == Verb.SIGNAL:
        if not given.mission:
            errors.append(fault("mission", "Say which mission, as in payload.mission."))
        if not 0 < len(given.signal) <= SIGNAL_LENGTH or not given.signal.isprintable():
            errors.append(fault("signal", f"The name of a signal, up to {SIGNAL_LENGTH} characters."))
        elif f"{given.signal}:".startswith(RESERVED):
            errors.append(fault("signal", f"A name may not begin with {', '.join(RESERVED)}."))
    elif given.verb == Verb.START:
        try:
            get_type(given.type)
        except UnknownType:
            errors.append(fault("type", "There is no such mission type."))
    return errors


def fault(field: str, message: str) -> Json:
    """One field that can not be kept."""
    return {"field": field, "message": message}


def deed(by: Content, payload: Json, headers: dict[str, str]) -> Deed | None:
    """What an event means; None where its condition does not hold. Raises FormulaFailed, InvalidInput."""
    given = Given(payload, shown(headers))
    if by.when and not formulas.run(by.when, Want.BOOL, given):
        return None
    key = _text(by.key, given, "key", KEY_LENGTH) if by.key else None
    if by.verb == Verb.START:
        title = _text(by.title, given, "title", TITLE_LENGTH) if by.title else ""
        return Deed(verb=Verb.START, type=by.type, title=title, body=_object(by.input, payload, given), key=key)
    return Deed(
        verb=Verb.SIGNAL, mission_by=by.mission_by, mission=_text(by.mission, given, "mission", KEY_LENGTH),
        signal=by.signal, body=_object(by.payload, payload, given), key=key,
    )


def shown(headers: dict[str, str]) -> dict[str, str]:
    """The headers that formulas are shown."""
    return {name: value for name, value in headers.items() if name not in HIDDEN and len(value) <= HEADER_LENGTH}


def _text(source: str, given: Given, name: str, most: int) -> str:
    found = str(formulas.run(source, Want.TEXT, given))
    if not 0 < len(found) <= most or "\x00" in found:
        raise FormulaFailed(f"The {name} has to be between 1 and {most} characters, none of them NUL.")
    return found


def _object(source: str, payload: Json, given: Given) -> Json:
    found: Json = formulas.run(source, Want.OBJECT, given) if source else payload
    return found

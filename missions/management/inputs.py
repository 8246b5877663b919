"""What the command line is given: JSON objects, and missions by id.

Every fault ends the command: with 2 where the words are wrong, with 1 where what they name is not there.
"""

from __future__ import annotations

import argparse
import datetime as dt
import sys
import uuid
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from missions.errors import UnknownMission
from missions.keeping import reading
from missions.models import Mission
from missions.web.parsers import LIMIT_BYTES, read_object
from missions.web.problems import Problem

USAGE = 2


def json_object(given: str) -> dict[str, Any]:
    """A JSON object from a file, from `-` (standard input) or from the word itself. As strict as the API."""
    try:
        return read_object(_bytes(given))
    except OSError as error:
        raise CommandError(f"{given}: {error.strerror}", returncode=USAGE) from error
    except Problem as error:
        raise CommandError(error.text, returncode=USAGE) from error


def _bytes(given: str) -> bytes:
    if given == "-":
        return sys.stdin.buffer.read(LIMIT_BYTES + 1)
    if given.lstrip().startswith(("{", "[")):
        return given.encode(errors="surrogateescape")
    with Path(given).open("rb") as file:
        return file.read(LIMIT_BYTES + 1)


def mission_id(given: str) -> uuid.UUID:
    """A mission's id; an argparse type."""
    try:
        return uuid.UUID(given)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{given!r} is no mission id; it looks like {uuid.UUID(int=0)}") from None


def moment(given: str) -> dt.datetime:
    """A time with its offset; an argparse type."""
    try:
        at = dt.datetime.fromisoformat(given)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise argparse.ArgumentTypeError(f"{given!r} is no time with an offset, as 2030-01-31T09:00:00+01:00 is")
    return at


def found(uid: uuid.UUID) -> Mission:
    """The mission with its brief and outcome. Raises UnknownMission."""
    mission = Mission.objects.select_related("brief__started_by", "outcome").filter(uid=uid).first()
    if mission is None:
        gone = ": it is archived, see `mission archived show`" if reading.gone(uid) else ""
        raise UnknownMission(f"There is no mission {uid}{gone}.")
    return mission

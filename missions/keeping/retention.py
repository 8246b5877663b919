"""Which ended missions have been kept long enough, and moving them into the archive, a bounded number at a time.

MISSIONS_KEEP_DAYS days after the end, or what the type says; 0 keeps for ever. A hold keeps one mission whatever its
age. A mission that was restored stays as long again. Never waits for a row that somebody holds: the next run comes by.
"""

from __future__ import annotations

import datetime as dt
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, Q

from missions.engine.clock import database_now
from missions.engine.registry import all_types
from missions.errors import Kept, UnknownMission
from missions.keeping import archive, bundle, parts
from missions.models import ENDED, Archived, Hold, Mission, Outcome

logger = logging.getLogger(__name__)
MOST, SECONDS = 500, 60.0  # a run's bounds: missions archived, and time
PAGE, SCANNED = 200, 10_000  # candidates looked at together, and in a run


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a run did. `resumed` were sealed by a run that died; `failed` stay where they are, and are logged."""

    archived: int = 0
    resumed: int = 0
    failed: int = 0

    def __str__(self) -> str:
        told = f"{self.archived + self.resumed} missions were archived"
        return f"{told}; {self.failed} could not be" if self.failed else f"{told}."


def run(*, before: dt.datetime, most: int = MOST, seconds: float = SECONDS) -> Finding:
    """Archive what is due and ended before a time, oldest first. Own transactions."""
    until, resumed, done, failed = time.monotonic() + seconds, 0, 0, 0
    for mission_id in archive.halfway(most):
        went = _archive_one(mission_id)
        resumed, failed = resumed + (went is True), failed + (went is None)
    wanted = _due(database_now())
    if wanted is None:
        return Finding(resumed=resumed, failed=failed)
    for mission_id in _candidates(wanted & Q(ended_at__lt=before)):
        if done >= most or time.monotonic() > until:
            break
        went = _archive_one(mission_id)
        done, failed = done + (went is True), failed + (went is None)
    return Finding(archived=done, resumed=resumed, failed=failed)


def _archive_one(mission_id: int) -> bool | None:
    """Whether it left; None where it could not, and somebody should know."""
    try:
        return archive.archive(mission_id) is not None
    except (Kept, UnknownMission):
        return False  # it was kept, or taken by somebody else, since we looked
    except (bundle.Damaged, OSError, IntegrityError):  # the last: somebody's rows are in no part
        logger.exception("A mission could not be archived", extra={"action": "archive_failed", "mission": mission_id})
        return None


def _due(now: dt.datetime) -> Q | None:
    """Outcomes that are old enough, by type; None where everything is kept for ever."""
    own = {kind.name: kind.keep_days for kind in all_types() if kind.keep_days is not None}
    terms = [
        Q(mission__type=name, ended_at__lt=now - dt.timedelta(days=days)) for name, days in own.items() if days
    ]  # fmt: skip
    if days := settings.MISSIONS_KEEP_DAYS:
        terms.append(~Q(mission__type__in=own) & Q(ended_at__lt=now - dt.timedelta(days=days)))
    if not terms:
        return None
    found = Q()
    for term in terms:
        found |= term
    return found


def _candidates(wanted: Q) -> Iterator[int]:
    """Ids of missions that may leave, by their end; what is kept is passed over."""
    held = Exists(Hold.objects.filter(pk=OuterRef("pk")))
    longest = max([kind.keep_days or 0 for kind in all_types()] + [settings.MISSIONS_KEEP_DAYS])
    since = database_now() - dt.timedelta(days=longest)
    restored = Exists(Archived.objects.filter(mission_id=OuterRef("pk"), returned_at__gte=since))
    rows = Outcome.objects.filter(wanted, ~held, ~restored, mission__state__in=ENDED).order_by("ended_at", "pk")
    place, looked = Q(), 0
    while looked < SCANNED and (page := list(rows.filter(place).values_list("ended_at", "pk")[:PAGE])):
        kept = parts.kept([mission_id for _, mission_id in page])
        yield from (mission_id for _, mission_id in page if mission_id not in kept)
        ended_at, last = page[-1]
        place, looked = Q(ended_at__gt=ended_at) | Q(ended_at=ended_at, pk__gt=last), looked + len(page)


@transaction.atomic
def hold(mission_id: int, reason: str, *, by: str = "") -> None:
    """Keep a mission in the hot tables until `release`; a second hold replaces the reason. Raises UnknownMission."""
    if not Mission.objects.select_for_update().filter(pk=mission_id).exists():
        raise UnknownMission
    Hold.objects.update_or_create(mission_id=mission_id, defaults={"reason": reason, "held_by": by})
    logger.info("A hold was placed", extra={"action": "hold_placed", "mission": mission_id, "by": by})


def release(mission_id: int, *, by: str = "") -> bool:
    """Lift the hold; whether there was one."""
    lifted = bool(Hold.objects.filter(pk=mission_id).delete()[0])
    if lifted:
        logger.info("A hold was lifted", extra={"action": "hold_lifted", "mission": mission_id, "by": by})
    return lifted

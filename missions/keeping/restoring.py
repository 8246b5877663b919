"""The way back: an archived mission's rows where they were. The bundle and its seal stay."""

from __future__ import annotations

import logging
from itertools import groupby

from django.db import IntegrityError, transaction

from missions.engine import feed
from missions.errors import NotArchived, Unrestorable
from missions.keeping import parts, verifying
from missions.models import Archived, Mission
from missions.models.fields import DatabaseNow

logger = logging.getLogger(__name__)


def restore(archived: Archived, *, by: str = "") -> Mission:
    """Put a mission's rows back, verified first; retention counts from now. Own transaction.

    Raises NotArchived, Unrestorable (the bundle is damaged, or the rows no longer fit the tables: nothing is kept).
    """
    found = verifying.verify(archived)
    if not found.ok:
        raise Unrestorable(f"Nothing was restored: {found.reason}")
    try:
        mission = _put_back(archived)
    except IntegrityError as error:
        raise Unrestorable(f"Nothing was restored: a row refers to what is gone. {error}".strip()) from error
    facts = {"action": "mission_restored", "mission": str(archived.uid), "by": by}
    logger.info("A mission was restored from its bundle", extra=facts)
    return mission


@transaction.atomic
def _put_back(archived: Archived) -> Mission:
    now = Archived.objects.select_for_update().get(pk=archived.pk)
    if now.removed_at is None or now.returned_at is not None:
        raise NotArchived(f"Mission {archived.uid} is not in the archive, but where missions are.")
    for name, rows in groupby(verifying.contents(archived), key=lambda pair: pair[0]):
        part = parts.part(name)
        if part is None and name != "manifest":
            raise Unrestorable(f"Nothing was restored: nobody here knows what {name} are.")
        while part is not None and (some := [row for _, (_, row) in zip(range(part.together), rows, strict=False)]):
            part.restore(some)
    Archived.objects.filter(pk=archived.pk).update(returned_at=DatabaseNow())
    feed.announce(f"m{archived.mission_id}")
    return Mission.objects.get(pk=archived.mission_id)

"""Removing content that no entry names. Synchronous; housekeeping calls it, and nothing depends on when.

Whoever is about to name content has just offered it, which marks it as fresh; so content that nobody names and nobody
offered within the grace period is needed by nobody. The grace must be longer than any call may take from storing
content to recording it.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from django.db import transaction
from django.db.models import Exists, OuterRef

from missions.models import ENDED, Blob, BlobUse, Entry, Mission, Payload, Portion, Progress
from missions.models.fields import DatabaseNow

GRACE = dt.timedelta(days=1)
BATCH = 200  # rows a transaction: the lane may have to wait for its end


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """How many rows a collection removed."""

    blobs: int
    payloads: int
    progress: int


def collect(grace: dt.timedelta = GRACE) -> Collected:
    """Remove blobs and payloads that no entry names, and heartbeats of calls that have long ended."""
    return Collected(blobs=collect_unreferenced(grace), payloads=_payloads(grace), progress=_progress(grace))


def collect_unreferenced(grace: dt.timedelta = GRACE) -> int:
    """Remove blobs that no mission needs and that nobody offered within `grace`; how many."""
    unused = ~Exists(BlobUse.objects.filter(digest=OuterRef("digest")))
    wanted = Blob.objects.filter(unused, stored_at__lt=DatabaseNow() - grace)
    count = 0
    while True:
        with transaction.atomic():
            locked = wanted.select_for_update(skip_locked=True, of=("self",)).values_list("digest", flat=True)
            digests = [bytes(digest) for digest in locked[:BATCH]]
            Portion.objects.filter(digest__in=digests).delete()
            Blob.objects.filter(digest__in=digests).delete()
        count += len(digests)
        if len(digests) < BATCH:
            return count


def _payloads(grace: dt.timedelta) -> int:
    """Bodies in the payload store. Reads the journal once through: it has no index by digest, and needs none else."""
    unused = ~Exists(Entry.objects.filter(stored=OuterRef("digest")))
    wanted = Payload.objects.filter(unused, stored_at__lt=DatabaseNow() - grace).values_list("digest", flat=True)
    digests = [bytes(digest) for digest in wanted]
    count = 0
    for first in range(0, len(digests), BATCH):
        # Who names a body now has marked it as fresh meanwhile, in the transaction that names it.
        stale = Payload.objects.filter(digest__in=digests[first : first + BATCH], stored_at__lt=DatabaseNow() - grace)
        count += stale.delete()[0]
    return count


def _progress(grace: dt.timedelta) -> int:
    over = Exists(Mission.objects.filter(pk=OuterRef("mission_id"), state__in=ENDED))
    return Progress.objects.filter(over, reported_at__lt=DatabaseNow() - grace).delete()[0]

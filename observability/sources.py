"""The append-only tables that the rail merges, as rail items: journal, votes, votes taken back, takeovers.

Owns how each is filtered by position and turned into items. Reads only; the order across sources is `stream`'s.
"""

from __future__ import annotations

from typing import Any

from django.db.models import BigIntegerField, Count, IntegerField, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce

from approvals.models import Retraction, Tier, Vote, VoteVerdict
from missions.engine import history
from missions.models import Entry, Takeover
from observability.rail import Cursor, RailItem, Source


def lies_after(after: Cursor | None, source: Source, row: str = "pk", mission: str = "mission_id") -> Q:
    """The rows of a source that lie after a cursor; `row` and `mission` name its last two parts."""
    if after is None:
        return Q()
    if source != after.source:
        return Q(tx__gt=after.tx) if source < after.source else Q(tx__gte=after.tx)
    same = Q(**{f"{mission}__gt": after.mission_id}) | Q(**{mission: after.mission_id, f"{row}__gt": after.id})
    return Q(tx__gt=after.tx) | Q(Q(tx=after.tx), same)


def journal_after(mission_id: int, after: Cursor | None) -> QuerySet[Entry]:
    """A mission's entries after a cursor, in order.

    Transactions rise with seq within a mission, so the place is found through the primary key: walking back from the
    head over the new rows only. The journal has no other index that could.
    """
    rows = Entry.objects.filter(mission_id=mission_id).order_by("seq")
    if after is None:
        return rows
    if after.source is Source.JOURNAL:
        return rows.filter(seq__gt=after.id)
    known = Entry.objects.filter(mission_id=mission_id, tx__lte=after.tx).order_by("-seq").values("seq")[:1]
    return rows.filter(seq__gt=Coalesce(Subquery(known), 0, output_field=IntegerField()))


def votes() -> QuerySet[Any]:
    """Votes with what their sentence needs: which approval of the tier it was, and the tier that comes next.

    `place` is the mission's part of the cursor: 0 for a decision without one.
    """
    earlier = Vote.objects.filter(
        Q(retraction=None) | Q(retraction__at__gt=OuterRef("cast_at")), tier=OuterRef("tier"),
        digest=OuterRef("digest"), verdict=VoteVerdict.APPROVE, pk__lte=OuterRef("pk"),
    )  # fmt: skip
    later = Tier.objects.filter(decision=OuterRef("decision"), stage__gt=OuterRef("tier__stage")).order_by("order")
    return Vote.objects.select_related("voter", "on_behalf_of", "tier", "decision").annotate(
        place=Coalesce("mission_id", 0, output_field=BigIntegerField()),
        nth=Subquery(earlier.order_by().values("tier").annotate(n=Count("pk")).values("n")),
        next_group=Subquery(later.values("name")[:1]),
    )


def retractions() -> QuerySet[Any]:
    """Votes that were taken back, with what their sentence needs; `place` as that of `votes`."""
    rows = Retraction.objects.select_related("vote__voter", "vote__decision")
    return rows.annotate(place=Coalesce("mission_id", 0, output_field=BigIntegerField()))


def from_journal(rows: list[Entry]) -> list[RailItem]:
    """Entries as items; one statement more where payloads lie in the store."""
    return [
        RailItem(
            cursor=Cursor(entry.tx, Source.JOURNAL, entry.mission_id, entry.seq), mission_id=entry.mission_id,
            kind=entry.kind, at=entry.recorded_at, payload=entry.payload, path=entry.path, seq=entry.seq,
            timeline=entry.timeline, attempt=entry.attempt,
        )
        for entry in history.decode(rows)
    ]  # fmt: skip


def from_votes(rows: list[Any]) -> list[RailItem]:
    """Votes, as `votes` annotates them, as items."""
    return [
        RailItem(
            cursor=Cursor(vote.tx, Source.VOTE, vote.mission_id or 0, vote.pk), mission_id=vote.mission_id, kind="vote",
            at=vote.cast_at, path=vote.decision.path, timeline=vote.timeline,
            payload={
                "decision": str(vote.decision_id), "sentence": vote.decision.sentence, "verdict": vote.verdict,
                "voter": vote.voter.get_username(), "group": vote.tier.label, "quorum": vote.tier.quorum,
                "nth": vote.nth or 0, "next_group": vote.next_group or "", "comment": vote.comment,
                "reason_code": vote.reason_code, "choice": vote.choice, "reference": vote.reference,
                "channel": vote.channel, "on_behalf_of": vote.on_behalf_of.get_username() if vote.on_behalf_of else "",
                "stands": vote.carried_from_id is not None, "edited": vote.edited_args is not None,
                "answer": vote.answer,
            },
        )
        for vote in rows
    ]  # fmt: skip


def from_retractions(rows: list[Any]) -> list[RailItem]:
    """Votes taken back, as `retractions` annotates them, as items."""
    return [
        RailItem(
            cursor=Cursor(row.tx, Source.RETRACTION, row.place, row.pk), mission_id=row.mission_id, kind="retraction",
            at=row.at, path=row.vote.decision.path, timeline=row.vote.timeline,
            payload={
                "decision": str(row.vote.decision_id), "sentence": row.vote.decision.sentence,
                "voter": row.vote.voter.get_username(), "reason": row.reason,
            },
        )
        for row in rows
    ]  # fmt: skip


def from_takeovers(rows: list[Takeover]) -> list[RailItem]:
    """Takeovers as items."""
    return [
        RailItem(
            cursor=Cursor(row.tx, Source.TAKEOVER, row.mission_id, row.pk), mission_id=row.mission_id, kind="takeover",
            at=row.freed_at, attempt=row.attempt,
            payload={"attempt": row.attempt, "lost_worker": str(row.lost_worker), "freed_by": str(row.freed_by)},
        )
        for row in rows
    ]  # fmt: skip

"""The shapes of decisions and votes in the REST API.

Owns form only; `approvals.votes` judges what a vote says. Bodies are strict, as everywhere in the API.
"""

from __future__ import annotations

from typing import Any, cast

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from approvals import ballots
from approvals.models import (
    Decision,
    DecisionKind,
    DecisionState,
    OnExpiry,
    ReasonCode,
    Tier,
    TierState,
    Vote,
    VoteVerdict,
)
from approvals.quorum import may_vote, standing, tally
from approvals.roll import Roll
from approvals.web import dossier
from missions.engine.clock import database_now
from missions.web.serializers import Body, Text


class VoteBody(Body):
    """One person's answer to one digest."""

    verdict = serializers.ChoiceField(choices=VoteVerdict.choices)
    digest = Text(max_length=64, help_text="The decision's digest, as it was shown.")
    choice = Text(max_length=50, required=False, allow_blank=True, default="")
    tier = Text(
        max_length=150, required=False, allow_blank=True, default="",
        help_text="The open tier that is meant; by default the first that you may vote in.",
    )
    reason_code = serializers.ChoiceField(
        choices=ReasonCode.choices, required=False, allow_blank=True, default="", help_text="Of a refusal."
    )
    comment = Text(
        max_length=ballots.COMMENT_LENGTH, required=False, allow_blank=True, default="",
        help_text="Needed to reject and to request changes.",
    )
    reference = Text(
        max_length=ballots.REFERENCE_LENGTH, required=False, allow_blank=True, default="",
        help_text="Needed where an effect in doubt happened.",
    )
    edited_args = serializers.DictField(
        required=False, allow_null=True, default=None,
        help_text="Approve with these arguments instead: a new digest, earlier votes void, and others have to vote.",
    )
    answer = serializers.JSONField(
        required=False, allow_null=True, default=None,
        help_text="To a question: text of at most 4,000 characters, or an object that fits `answers.schema`.",
    )


class EmptyBody(Body):
    """Nothing is asked for."""


class ActionShape(serializers.Serializer[Any]):
    """What would be done."""

    tool = serializers.CharField(allow_blank=True)
    args = serializers.DictField()
    effect_class = serializers.CharField()
    args_schema = serializers.DictField(help_text="JSON Schema of the arguments.")


class ChoiceShape(serializers.Serializer[Any]):
    """One way to answer."""

    value = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]


class MoneyShape(serializers.Serializer[Any]):
    """An amount."""

    amount = serializers.CharField(help_text="A decimal.")
    currency = serializers.CharField(allow_blank=True)


class BlastShape(serializers.Serializer[Any]):
    """How far the action reaches; a decision about no action reaches one thing."""

    count = serializers.IntegerField(default=1)
    money = MoneyShape(allow_null=True, default=None)
    recipients = serializers.ListField(child=serializers.CharField(), default=list)


class PolicyShape(serializers.Serializer[Any]):
    """Which policy asked."""

    name = serializers.CharField(allow_blank=True)
    version = serializers.IntegerField(allow_null=True)
    rules = serializers.ListField(child=serializers.CharField())


class QuorumShape(serializers.Serializer[Any]):
    """How many approvals a tier needs, of how many people who can give one."""

    need = serializers.IntegerField()
    of = serializers.IntegerField(help_text="Members of the group, less who asked and who voted in another tier.")


class CastShape(serializers.Serializer[Any]):
    """A vote that was cast in a tier."""

    voter = serializers.CharField(source="voter.username")
    on_behalf_of = serializers.CharField(
        source="on_behalf_of.username", allow_null=True, default=None, help_text="In whose place, by delegation."
    )
    stands = serializers.SerializerMethodField(help_text="Whether it was cast before policy changed, and stands on.")
    verdict = serializers.ChoiceField(choices=VoteVerdict.choices)
    choice = serializers.CharField(allow_blank=True)
    comment = serializers.CharField(allow_blank=True)
    at = serializers.DateTimeField(source="cast_at")

    def get_stands(self, vote: Vote) -> bool:
        """Whether it comes from an earlier round."""
        return vote.carried_from_id is not None


class SeatShape(serializers.Serializer[Any]):
    """A group or a person that may vote; neither, where an attribute leads to nobody."""

    group = serializers.CharField(allow_blank=True)
    person = serializers.CharField(source="person.username", allow_null=True, default=None)
    attribute = serializers.CharField(source="spec.attribute", allow_null=True, default=None)


class TierSerializer(serializers.Serializer[Any]):
    """One stage of a decision."""

    order = serializers.IntegerField()
    stage = serializers.IntegerField(help_text="Tiers of one stage are open at once.")
    approvers = serializers.CharField(source="label", help_text="What the tier is called: its group, by default.")
    seats = serializers.SerializerMethodField(help_text="The groups and people that may vote.")
    all_of = serializers.BooleanField(help_text="Whether each seat is needed, by a person of its own.")
    calendar = serializers.CharField(allow_blank=True, help_text="Whose hours count until it is due.")
    quorum = serializers.SerializerMethodField()
    votes = serializers.SerializerMethodField(help_text="Approvals that count by the membership of now.")
    cast = serializers.SerializerMethodField(help_text="The votes themselves, in order.")
    state = serializers.ChoiceField(choices=TierState.choices)
    due_at = serializers.DateTimeField(allow_null=True)
    expires_at = serializers.DateTimeField(allow_null=True)
    on_expiry = serializers.ChoiceField(choices=OnExpiry.choices)

    @extend_schema_field(SeatShape(many=True))
    def get_seats(self, tier: Tier) -> list[Any]:
        """Who sits in it."""
        return list(SeatShape(tier.approvers.all(), many=True).data)

    @extend_schema_field(QuorumShape)
    def get_quorum(self, tier: Tier) -> dict[str, Any]:
        """How many, of how many."""
        return {"need": tier.quorum, "of": len(may_vote(self._decision, tier, self._roll))}

    def get_votes(self, tier: Tier) -> int:
        """How many approvals count."""
        return len(tally(self._decision, self._roll).of(tier.order))

    @extend_schema_field(CastShape(many=True))
    def get_cast(self, tier: Tier) -> list[Any]:
        """Who voted what."""
        own = [vote for vote in standing(self._decision) if vote.tier_id == tier.pk]
        return list(CastShape(own, many=True).data)

    @property
    def _roll(self) -> Roll:
        return cast(Roll, self.context["roll"])

    @property
    def _decision(self) -> Decision:
        return cast(Decision, self.context["decision"])


class ResolutionShape(serializers.Serializer[Any]):
    """How a decision ended."""

    verdict = serializers.CharField()
    by = serializers.ListField(child=serializers.CharField())
    at = serializers.DateTimeField()
    digest = serializers.CharField()
    comment = serializers.CharField(allow_blank=True)
    reason_code = serializers.CharField(allow_blank=True)
    choice = serializers.CharField(allow_blank=True)
    reference = serializers.CharField(allow_blank=True)
    edited_args = serializers.DictField(allow_null=True)
    value = serializers.JSONField(allow_null=True, default=None, help_text="The answer to a question.")


class DecisionSerializer(serializers.Serializer[Any]):
    """A decision; `choices`, `answers` and `resolution` are there only where there are some."""

    id = serializers.UUIDField()
    kind = serializers.ChoiceField(choices=DecisionKind.choices)
    state = serializers.ChoiceField(choices=DecisionState.choices)
    sentence = serializers.CharField()
    agent = serializers.SerializerMethodField(help_text="The agent for which it is asked; policies rule on it.")
    mission = serializers.UUIDField(source="mission.uid", allow_null=True, default=None)
    timeline = serializers.IntegerField()
    action = ActionShape()
    choices = ChoiceShape(many=True, required=False)
    answers = serializers.DictField(required=False, help_text="Of a question: form (text, options, schema), schema.")
    digest = serializers.CharField()
    edits = serializers.IntegerField(help_text="How often people changed the arguments.")
    reversibility = serializers.CharField(help_text="read, reversible, compensable, irreversible")
    blast = BlastShape()
    risk = serializers.CharField(help_text="low, medium, high")
    policy = PolicyShape()
    reason = serializers.CharField(allow_blank=True)
    tiers = serializers.SerializerMethodField()
    evidence = serializers.ListField(child=serializers.DictField())
    facts = serializers.SerializerMethodField(
        help_text="What else is said of it: a policy's `changes`, the `differs` of a divergence, `changed` evidence."
    )
    opened_at = serializers.DateTimeField()
    due_at = serializers.DateTimeField(allow_null=True)
    expires_at = serializers.DateTimeField(allow_null=True)
    hold_until = serializers.DateTimeField(allow_null=True, help_text="An approval can be undone until then.")
    released_at = serializers.DateTimeField(allow_null=True, help_text="When the mission was told of a held approval.")
    claimed_by = serializers.SerializerMethodField(help_text="Whose claim runs; null where none does.")
    claimed_until = serializers.DateTimeField(allow_null=True)
    superseded_by = serializers.UUIDField(source="superseded_by_id", allow_null=True)
    resolution = ResolutionShape(required=False)

    @extend_schema_field(TierSerializer(many=True))
    def get_tiers(self, decision: Decision) -> list[Any]:
        """The stages in order, each with its votes."""
        context = {"roll": self.context["roll"], "decision": decision}
        return list(TierSerializer(decision.tiers.all(), many=True, context=context).data)

    def get_agent(self, decision: Decision) -> str:
        """Empty where no agent acts."""
        return str(decision.facts.get("agent") or "")

    def get_facts(self, decision: Decision) -> dict[str, Any]:
        """As the page shows them, less what it tells elsewhere."""
        return {name: value for name, value in decision.facts.items() if name not in dossier.INTERNAL - {"differs"}}

    def get_claimed_by(self, decision: Decision) -> str | None:
        """The holder's name."""
        holder = decision.holder(self.context["now"])
        return holder.get_username() if holder else None

    def to_representation(self, decision: Decision) -> dict[str, Any]:
        """Leave out the optional members that say nothing."""
        shown = super().to_representation(decision)
        for name in ("choices", "answers", "resolution"):
            if not shown.get(name):
                shown.pop(name, None)
        return shown


def told(decisions: list[Decision]) -> list[Any]:
    """Decisions in their shape; each has its details loaded (`listing.with_details`)."""
    roll = Roll.call(decisions)
    return list(DecisionSerializer(decisions, many=True, context={"roll": roll, "now": database_now()}).data)


class ClaimReceipt(serializers.Serializer[Any]):
    """A running lease."""

    claimed_by = serializers.CharField(allow_null=True)
    claimed_until = serializers.DateTimeField(allow_null=True)
    taken_from = serializers.CharField(allow_blank=True, help_text="Who held it until now.")

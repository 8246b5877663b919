"""The shapes of what people do with a decision beside voting, in the REST API. Owns form only."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from approvals import ballots, bulk, comments
from approvals.models import ReasonCode, Seen, VoteVerdict
from missions.web.serializers import Body, Text, Whole


class CommentBody(Body):
    """A remark."""

    text = Text(max_length=comments.TEXT_LENGTH)
    agent = Text(
        max_length=comments.AGENT_LENGTH, required=False, allow_blank=True, default="",
        help_text="The agent that wrote it; it is then marked as such.",
    )
    key = Text(max_length=comments.KEY_LENGTH, required=False, allow_null=True, default=None)


class CommentShape(serializers.Serializer[Any]):
    """A remark in the thread."""

    id = serializers.IntegerField()
    author = serializers.CharField(source="author.username")
    agent = serializers.CharField(allow_blank=True)
    text = serializers.CharField()
    at = serializers.DateTimeField()


class ReasonBody(Body):
    """Why."""

    reason = Text(max_length=4000, required=False, allow_blank=True, default="")


class LookBody(Body):
    """What was looked at."""

    what = serializers.ChoiceField(choices=Seen.choices)
    item = Whole(required=False, default=0, min_value=0, max_value=10_000, help_text="The evidence's place, from 1.")


class LookReceipt(serializers.Serializer[Any]):
    """Whether it was the first look."""

    first = serializers.BooleanField()


class BulkVoteItem(Body):
    """One of many."""

    id = serializers.UUIDField()
    digest = Text(max_length=64)


class BulkVotesBody(Body):
    """The same vote on many decisions."""

    items = serializers.ListField(child=BulkVoteItem(), allow_empty=False, max_length=bulk.MOST)
    count = Whole(help_text="How many they are; has to agree.")
    verdict = serializers.ChoiceField(choices=VoteVerdict.choices)
    reason_code = serializers.ChoiceField(
        choices=ReasonCode.choices, required=False, allow_blank=True, default="", help_text="Of a refusal."
    )
    comment = Text(max_length=ballots.COMMENT_LENGTH, required=False, allow_blank=True, default="")


class BulkVoteResult(serializers.Serializer[Any]):
    """What came of one vote."""

    id = serializers.UUIDField()
    state = serializers.CharField(allow_blank=True, help_text="Of the decision afterwards; empty where refused.")
    code = serializers.CharField(allow_blank=True, help_text="The refusal's; empty where the vote counts.")
    message = serializers.CharField(allow_blank=True)


class BulkVotesReceipt(serializers.Serializer[Any]):
    """What came of each."""

    results = BulkVoteResult(many=True)


class PrecedentShape(serializers.Serializer[Any]):
    """An earlier decision like this one."""

    id = serializers.UUIDField(source="decision.pk")
    sentence = serializers.CharField(source="decision.sentence")
    alike = serializers.ListField(child=serializers.CharField(), help_text="What both share.")
    state = serializers.SerializerMethodField(help_text="Null until you have opened a piece of the evidence.")
    rolled_back = serializers.SerializerMethodField(help_text="Done, and undone later; null as long.")

    def get_state(self, row: Any) -> str | None:
        """How it ended."""
        return str(row.decision.state) if self.context["tells"] else None

    def get_rolled_back(self, row: Any) -> bool | None:
        """Whether it was undone."""
        return bool(row.rolled_back) if self.context["tells"] else None


class PrecedentsShape(serializers.Serializer[Any]):
    """The earlier decisions, the most alike first."""

    results = PrecedentShape(many=True)

"""REST views through which other systems open decisions and take them back. `approvals.outbound.external` judges."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib.auth.models import User
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from approvals.models import Decision, OnExpiry
from approvals.outbound import callbacks, external, signing
from approvals.outbound.asks import MOST_QUORUM, Ask
from approvals.web import listing
from approvals.web.serializers import DecisionSerializer, told
from approvals.web.webhooks_shapes import DeliverySerializer
from missions.errors import InvalidInput
from missions.governance import Choice, EffectClass
from missions.models import ApiToken
from missions.web.endpoint import Endpoint, caller, idempotency_key
from missions.web.problems import Problem, problem
from missions.web.schema import IDEMPOTENCY_KEY, PROBLEMS
from missions.web.serializers import Body, Text, Whole


class ActionBody(Body):
    """What the system would do, once it may."""

    tool = Text(max_length=200, required=False, allow_blank=True, default="", help_text="Policies rule on it by name.")
    args = serializers.DictField(required=False, default=dict)
    effect_class = serializers.ChoiceField([str(one) for one in EffectClass], required=False, default="write")


class ChoiceBody(Body):
    """One way to answer."""

    value = Text(max_length=50)
    label = Text(max_length=200)  # type: ignore[assignment]


class TierBody(Body):
    """Who is to be asked beside those whom policies name."""

    group = Text(max_length=150)
    quorum = Whole(min_value=1, max_value=MOST_QUORUM, required=False, default=1)


class AnswersBody(Body):
    """What an answer looks like that is neither consent nor a choice."""

    form = serializers.ChoiceField(["text", "schema"])
    schema = serializers.DictField(
        required=False, help_text="JSON Schema of an object with properties, without references and patterns."
    )


class ExternalBody(Body):
    """A decision that another system needs."""

    sentence = Text(max_length=500, help_text="What people decide, in plain words.")
    action = ActionBody(required=False, default=dict)
    evidence = serializers.ListField(child=serializers.DictField(), required=False, default=list, max_length=50)
    choices = ChoiceBody(many=True, required=False, default=list)
    answers = AnswersBody(required=False, default=dict, help_text="Of a question without a tool and without choices.")
    tiers = TierBody(many=True, required=False, default=list)
    due_in = Text(max_length=20, required=False, allow_blank=True, default="", help_text="As 30m, 4h or 1d.")
    expires_in = Text(max_length=20, required=False, allow_blank=True, default="")
    on_expiry = serializers.ChoiceField(OnExpiry.choices, required=False, default=OnExpiry.REJECT)
    callback_url = Text(max_length=2000, required=False, allow_blank=True, default="")
    key = Text(max_length=200, required=False, allow_null=True, default=None)
    source = Text(  # type: ignore[assignment]  # a field of the body, not the base's property
        max_length=100, required=False, allow_blank=True, default="",
        help_text="What you call yourself; people are shown it, and policies go by the token's agent.",
    )

    def validate_choices(self, value: list[Any]) -> list[Any]:
        """At most twenty: a person reads them all."""
        if len(value) > 20:
            raise serializers.ValidationError("At most 20.")
        return value


class CallbackShape(serializers.Serializer[Any]):
    """The way of the answer back to who opened the decision."""

    url = serializers.CharField()
    delivery = DeliverySerializer(allow_null=True, help_text="Null before there is an answer to send.")


class ShownSerializer(DecisionSerializer):
    """One decision; of one from outside, who opened it, operators and administrators are told of the callback."""

    callback = CallbackShape(required=False)


class OpenedSerializer(ShownSerializer):
    """A decision as its opener sees it."""

    callback_secret = serializers.CharField(required=False, help_text="Signs the callbacks to this token.")


class WithdrawBody(Body):
    """Why the answer is not needed any more."""

    reason = Text(max_length=500, required=False, allow_blank=True, default="")


class OpeningView(Endpoint):
    """Opening decisions from outside; mixed into the view that lists them, for they share an address."""

    @extend_schema(
        operation_id="decisions_open", parameters=[IDEMPOTENCY_KEY], request=ExternalBody,
        responses={201: OpenedSerializer, 200: OpenedSerializer, **PROBLEMS},
    )
    def post(self, request: Request) -> Response:
        """Open a decision: 201, or 200 with the one that the same key opened before.

        409 `key_reused` where the key came with another body, 422 for what can not be taken, 429 `too_many_open`.
        It may be settled already, where policy allows or denies the action.
        """
        body = ExternalBody(data=request.data)
        body.is_valid(raise_exception=True)
        token = request.auth if isinstance(request.auth, ApiToken) else None
        try:
            decision, created = external.ask(
                wanted_of(body.validated_data, token), caller=caller(request), token_id=token.pk if token else None,
                key=idempotency_key(request, body.validated_data["key"]),
            )
        except (external.KeyUsed, external.TooManyOpen, InvalidInput) as refused:
            raise _problem(refused) from refused
        return Response(_shown(request, decision.pk, token), status=201 if created else 200)


def wanted_of(given: dict[str, Any], token: ApiToken | None) -> Ask:
    """The checked body as the verb takes it, for the agent that the token stands for."""
    plain = {name: given[name] for name in ("sentence", "due_in", "expires_in", "on_expiry", "callback_url", "source")}
    return Ask(
        **plain, agent=token.agent if token else "", action=dict(given["action"]), evidence=tuple(given["evidence"]),
        choices=tuple(Choice(**one) for one in given["choices"]), answers=dict(given["answers"]),
        tiers=tuple(dict(one) for one in given["tiers"]),
    )


def shown(seen: Decision, reader: User) -> dict[str, Any]:
    """A decision that this person sees, with its callback where they may know of it."""
    found: dict[str, Any] = told([seen])[0]
    if (callback := callbacks.of(seen, reader)) is not None:
        found["callback"] = dict(CallbackShape(callback).data)
    return found


def _shown(request: Request, decision_id: uuid.UUID, token: ApiToken | None) -> dict[str, Any]:
    person = caller(request)
    seen = listing.seen(person, decision_id)
    assert seen is not None  # who asked sees it
    found = shown(seen, person)
    if seen.external.callback_url:
        found["callback_secret"] = signing.secret(signing.of_caller(person.pk, token.pk if token else None))
    return found


def _problem(refused: external.KeyUsed | external.TooManyOpen | InvalidInput) -> Problem:
    if isinstance(refused, InvalidInput):
        return problem(422, "invalid_input", str(refused), errors=refused.errors)
    status = 429 if isinstance(refused, external.TooManyOpen) else 409
    return problem(status, refused.code, str(refused), **refused.facts)


def take_back(request: Request, decision: Decision) -> Response:
    """Withdraw a decision that the caller opened from outside: 200 with the decision. Settled already: 409."""
    person = caller(request)
    body = WithdrawBody(data=request.data)
    body.is_valid(raise_exception=True)
    try:
        done = external.withdraw(decision, person, body.validated_data["reason"])
    except external.NotTheOpener as refused:
        raise problem(403, refused.code, str(refused)) from refused
    now = told([found for found in [listing.seen(person, decision.pk)] if found is not None])[0]
    if not done and now["state"] != "withdrawn":
        raise problem(
            409, "decision_closed", "It is settled already. Nothing was changed.", state=now["state"],
            resolution=now.get("resolution"), superseded_by=now.get("superseded_by"),
        )
    return Response(now)

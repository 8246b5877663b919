"""How a mission's budget is told over REST."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers


class SpendShape(serializers.Serializer[Any]):
    """What a mission has used."""

    steps = serializers.IntegerField()
    effects = serializers.IntegerField()
    cost = serializers.CharField(help_text="In the unit that the author reckons in.")
    tokens = serializers.IntegerField()


class BudgetShape(serializers.Serializer[Any]):
    """The limits in force; what is not limited is left out."""

    steps = serializers.IntegerField(required=False)
    effects = serializers.IntegerField(required=False)
    cost = serializers.CharField(required=False)
    tokens = serializers.IntegerField(required=False)
    deadline = serializers.DateTimeField(required=False)

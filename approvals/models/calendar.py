"""Business calendars: the hours of a week in a time zone, and the days that are free."""

from __future__ import annotations

from django.db import models


class Calendar(models.Model):
    """When people of a place work. Tiers name it; their times until due count these hours only."""

    name = models.SlugField(max_length=100, unique=True)
    time_zone = models.CharField(max_length=64, default="UTC")
    hours = models.JSONField(help_text='By day, in local time: {"mon": [["09:00", "17:30"]], …}; absent days are free.')

    def __str__(self) -> str:
        return self.name


class Holiday(models.Model):
    """A day on which nobody works."""

    calendar = models.ForeignKey(Calendar, models.CASCADE, related_name="holidays")
    day = models.DateField()
    name = models.CharField(max_length=100, blank=True)

    class Meta:
        ordering = ["day"]
        constraints = [models.UniqueConstraint(fields=["calendar", "day"], name="holiday_once")]

    def __str__(self) -> str:
        return f"{self.day} {self.name}"

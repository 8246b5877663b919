"""What administrators set up in the Django admin; each change is in its history."""

from __future__ import annotations

from django.contrib import admin

from missions.models import Restriction


@admin.register(Restriction)
class RestrictionAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Which groups see a mission type or a data class."""

    list_display = ("scope", "name", "group")
    list_filter = ("scope", "group")
    search_fields = ("name", "group")

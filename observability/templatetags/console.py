"""Template filters of the console: relative times, banners, hostile text.

Pure. The words of `relative` are those of static/js/console.js, which keeps them current.
"""

from __future__ import annotations

import datetime as dt

from django import template

from observability.wording import distance, visible

register = template.Library()
BANNER_TONES = {"success": "ok", "error": "bad", "warning": "warn", "debug": "info"}  # of django.contrib.messages
BANNER_ICONS = {"ok": "check", "bad": "alert", "warn": "alert", "info": "info"}


@register.filter
def relative(at: dt.datetime | None) -> str:
    """How far a moment is from now: "3 min ago", "in 2 h", "just now"; empty without one."""
    return distance(at, dt.datetime.now(dt.UTC)) if at is not None else ""


@register.filter
def banner_tone(tone: str) -> str:
    """The banner's tone of a tone or of a message's level tag."""
    return BANNER_TONES.get(tone, tone or "info")


@register.filter
def banner_icon(tone: str) -> str:
    """The icon of a tone or of a message's level tag."""
    return BANNER_ICONS.get(banner_tone(tone), "info")


@register.filter(name="visible")
def visible_filter(text: object) -> str:
    """The text with invisible and direction-changing characters shown as their code points."""
    return visible(str(text))

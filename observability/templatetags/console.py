"""Template tags and filters of the console: icons, badges, relative times, banners, hostile text.

Pure. The words of `relative` are those of static/js/console.js, which keeps them current.
"""

from __future__ import annotations

import datetime as dt
import functools
from typing import Any

from django import template
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString

from observability.wording import distance, visible

register = template.Library()
BANNER_TONES = {"success": "ok", "error": "bad", "warning": "warn", "debug": "info"}  # of django.contrib.messages
BANNER_ICONS = {"ok": "check", "bad": "alert", "warn": "alert", "info": "info"}


@register.simple_tag(name="icon")
@functools.lru_cache(maxsize=256)
def icon_of(name: str) -> SafeString:
    """An icon of static/icons.svg, for the eye alone. A tag, since pages show hundreds and an include costs more."""
    address = f"{static('icons.svg')}#{name}"
    return format_html('<svg class="icon" aria-hidden="true" focusable="false"><use href="{}"></use></svg>', address)


@register.simple_tag(name="badge")
def badge_tag(of: Any = None, *, word: str = "", icon: str = "", tone: str = "") -> SafeString:
    """A state in a word: of whatever has a word, an icon and a tone, or of these. A tone alone never tells it."""
    if of:
        word, icon, tone = of.word, of.icon, of.tone
    classes = f"badge{tone and f' badge--{tone}'}{'' if icon else ' badge--plain'}"
    return format_html('<span class="{}">{}{}</span>', classes, icon_of(icon) if icon else "", word)


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

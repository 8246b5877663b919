"""EMAIL_URL: how e-mail leaves, as one address.

`smtp://USER:PASSWORD@HOST:PORT/?from=ADDRESS`: STARTTLS unless `?tls=off`; `smtps://` speaks TLS from the first byte;
`console:` prints instead of sending. Empty: no e-mail. Wiring only.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, urlsplit

from config.env import SettingError

WANTED = "smtp://USER:PASSWORD@HOST:PORT/?from=ADDRESS, smtps://…, or console:"
BACKEND = "django.core.mail.backends.{}.EmailBackend"
TIMEOUT_SECONDS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Email:
    """Where e-mail goes, in the words of Django's settings."""

    backend: str
    host: str = "localhost"
    port: int = 25
    user: str = ""
    password: str = ""
    starttls: bool = False
    tls: bool = False
    sender: str = "standfast@localhost"
    timeout: int = TIMEOUT_SECONDS


def parse(url: str) -> Email | None:
    """What EMAIL_URL says; None for no e-mail. Raises SettingError, without the password."""
    if not url:
        return None
    try:
        parts = urlsplit(url)
        port, options = parts.port, parse_qs(parts.query, strict_parsing=bool(parts.query))
    except ValueError:
        raise SettingError("EMAIL_URL", "…", WANTED) from None
    sender = options.pop("from", ["standfast@localhost"])[-1]
    tls_option = options.pop("tls", [""])[-1]
    known = parts.scheme in ("smtp", "smtps", "console") and tls_option in ("", "off") and not options
    if not known or not sender.isprintable() or "@" not in sender or (parts.scheme != "console" and not parts.hostname):
        raise SettingError("EMAIL_URL", f"{parts.scheme}:…", WANTED)
    if parts.scheme == "console":
        return Email(backend=BACKEND.format("console"), sender=sender)
    tls = parts.scheme == "smtps"
    return Email(
        backend=BACKEND.format("smtp"), host=parts.hostname or "", port=port or (465 if tls else 587),
        user=unquote(parts.username or ""), password=unquote(parts.password or ""), tls=tls,
        starttls=not tls and tls_option != "off", sender=sender,
    )

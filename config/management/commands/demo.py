"""`manage.py demo`: the demo data, made once."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from config import demo


class Command(BaseCommand):
    """Makes what is missing of the demo data; run again, it does nothing."""

    help = "Make groups, sign-ins, a policy and three sample missions. Refused where STANDFAST_DEBUG is off."

    def handle(self, *args: Any, **options: Any) -> None:
        """Refuse outside of DEBUG: the password is public."""
        if not settings.DEBUG:
            raise CommandError("demo data is refused where STANDFAST_DEBUG is off: its password is public: --no-demo")
        made = demo.make()
        if options["verbosity"] > 0:
            self.stdout.write("\n".join(made) or "nothing to make: the demo data is there")

"""`manage.py profile`: who manages a person, and where they work (docs/cli.md). For who runs the installation."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser

from approvals import hours, profiles
from approvals.models import Profile


class Command(BaseCommand):
    """Show or change what governance knows of a person."""

    help = "Show or change a person's manager, time zone and calendar."

    def add_arguments(self, parser: CommandParser) -> None:
        """The person, and what to change."""
        parser.add_argument("user", metavar="USER")
        parser.add_argument("--manager", metavar="USER", help="who `owner.manager` leads to for what they own")
        parser.add_argument("--time-zone", metavar="ZONE", help="as in Europe/Berlin")
        parser.add_argument("--calendar", metavar="NAME", help="a business calendar")

    def handle(self, *args: Any, **options: Any) -> None:
        """Change what is given and print what holds then. Raises CommandError with the exit status."""
        user = _user(options["user"])
        manager = _user(options["manager"]) if options["manager"] else None
        try:
            calendar = hours.get(options["calendar"]) if options["calendar"] else None
            if any(options[name] for name in ("manager", "time_zone", "calendar")):
                profiles.change(user, manager=manager, time_zone=options["time_zone"], calendar=calendar)
        except (ValueError, hours.UnknownCalendar) as refused:
            raise CommandError(str(refused), returncode=1) from refused
        found = Profile.objects.filter(user=user).first() or Profile(user=user)
        told = (("manager", found.manager), ("time zone", found.time_zone), ("calendar", found.calendar))
        self.stdout.write("\n".join(f"{name}: {value or 'none'}" for name, value in told))


def _user(name: str) -> User:
    found = User.objects.filter(username=name).first()
    if found is None:
        raise CommandError(f"There is no user {name!r}.", returncode=1)
    return found

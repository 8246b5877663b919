"""`manage.py token`: API tokens (docs/cli.md). The secret is printed once, alone on standard output."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser

from missions.engine.clock import database_now
from missions.management.display import Display
from missions.models import ApiToken
from missions.web import tokens

LONGEST_DAYS = 3650


class Command(BaseCommand):
    """Create, list and revoke API tokens."""

    help = "Create, list and revoke API tokens."

    def add_arguments(self, parser: CommandParser) -> None:
        """One sub-command a verb."""
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        create = verbs.add_parser("create", help="print a new token, once")
        create.add_argument("user", metavar="USER")
        create.add_argument("--scope", action="append", default=[], choices=tokens.SCOPES, dest="scopes")
        create.add_argument("--days", type=int, help="expires after so many days; without it, never")
        create.add_argument("--label", default="", help="what it is for")
        create.add_argument("--agent", default="", help="the agent that acts with it, as policies name it")
        verbs.add_parser("list", help="list tokens, newest first").add_argument("--user")
        verbs.add_parser("revoke", help="revoke a token").add_argument("prefix", metavar="PREFIX")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run one verb. Raises CommandError with the exit status."""
        {"create": self.create, "list": self.list, "revoke": self.revoke}[options["verb"]](options)

    def create(self, options: dict[str, Any]) -> None:
        """Print the secret on standard output, and the rest on standard error."""
        days, label, agent = options["days"], options["label"], options["agent"]
        if days is not None and not 1 <= days <= LONGEST_DAYS:
            raise CommandError(f"--days is between 1 and {LONGEST_DAYS}.", returncode=2)
        if len(label) > 100:
            raise CommandError("--label takes at most 100 characters.", returncode=2)
        if agent and tokens.wrong_agent(agent):
            raise CommandError(f"--agent takes {tokens.AGENT_FORM}.", returncode=2)
        user = get_user_model().objects.filter(username=options["user"]).first()
        if user is None:
            raise CommandError(f"There is no user {options['user']!r}.", returncode=1)
        token, secret = tokens.issue(user, scopes=tuple(options["scopes"]), days=days, label=label, agent=agent)
        self.stdout.write(secret)
        self.stderr.write(f"It is shown only now. Revoke it with: manage.py token revoke {token.prefix}")

    def list(self, options: dict[str, Any]) -> None:
        """Show what is known of each token; never the secret."""
        rows = ApiToken.objects.select_related("user").order_by("-pk")
        if options["user"]:
            rows = rows.filter(user__username=options["user"])
        now = database_now()
        Display(self.stdout, as_json=False).table(
            ("PREFIX", "USER", "AGENT", "LABEL", "SCOPES", "CREATED", "EXPIRES", "STATE"),
            (
                (
                    row.prefix, row.user, row.agent, row.label, " ".join(row.scopes) or "all", row.created_at,
                    row.expires_at or "never", _state(row, now),
                )
                for row in rows
            ),
            empty="No tokens.",
        )

    def revoke(self, options: dict[str, Any]) -> None:
        """Take a token out of force; nothing brings it back."""
        if not tokens.revoke(options["prefix"]):
            raise CommandError(f"There is no token in force that begins with {options['prefix']!r}.", returncode=1)
        self.stdout.write("Revoked.")


def _state(token: ApiToken, now: Any) -> str:
    if token.revoked_at is not None:
        return "revoked"
    return "expired" if token.expires_at is not None and token.expires_at <= now else "in force"

"""Tools that every installation has: e-mail, HTTP, SQL, and starting missions (docs/tools.md).

None of them reaches anything before it was set up: a mail server, listed places, named databases. What they may be used
for, policy says.
"""

from missions.library.bundled import email, http, sql, starting

__all__ = ["email", "http", "sql", "starting"]

"""Governance policies: rule tables as files and versions, their conditions, and the ruling that they make together."""

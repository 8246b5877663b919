"""Agents: who they are, and what they do inside missions."""

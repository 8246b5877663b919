"""LLMs by configuration: providers, chains that fail over, what answers cost. Knows nothing of missions or of agents.

Import `chain` and `accounts`; what talks HTTP (`members`, `transport`, `failures`) loads libraries that take seconds,
and is imported by `chain` when the first LLM is wanted.
"""

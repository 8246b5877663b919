"""Other durable engines, measured by the same workloads.

Two sides. Ours (`kinds`, `process`) runs in the project's interpreter and knows no peer's package. Theirs (`answering`,
`with_*`) runs in `.venv-peers`, knows nothing of the project, and answers one JSON line for each JSON line it is asked.
"""

"""Where ended missions go: sealed bundles, what may leave and when, and the way back. Knows no layer above."""

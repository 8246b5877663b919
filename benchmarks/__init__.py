"""Benchmarks: each workload measured on real processes, beside a peer where there is one. See docs/benchmarks.md."""

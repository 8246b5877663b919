"""One module a workload. Each has `run(bench)`, which adds its rows and ratios to `bench.results`."""

"""The benchmarks of `make bench-jobs`, of the job engine: tests assert no times."""

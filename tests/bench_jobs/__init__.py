"""Benchmarks of the job engine, run by `make bench-jobs`; no test asserts times."""

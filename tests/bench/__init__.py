"""Benchmarks, run by `make bench`: no test asserts times, so they are measured here."""

"""Benchmarks of the pipeline on a GPU, in one short run: `python -m tests.bench.gpu --out DIR`."""

"""`python -m tests.bench.gpu`: benchmarks of the pipeline on a GPU, in one short run."""

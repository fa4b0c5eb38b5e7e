"""`python -m tests.bench.gpu`: figures of a GPU, in one short run of a machine that has one."""

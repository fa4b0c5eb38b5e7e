# The index of what can be done here; `make` alone prints it.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# More than CI has cores: many tests wait for what they started.
TEST_PROCESSES ?= 3
RUNS ?= 1
LANES ?= 2
PIP_VERSION := 26.3

# One thread a process: more of them fight each other on a busy machine (docs/decisions).
export OMP_NUM_THREADS := 1

.DEFAULT_GOAL := help
.PHONY: help install demo test check format faults bench bench-jobs bench-policies wheel images \
    clean

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(STAMP) ## make .venv with everything in it, from pinned versions

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	    || { echo "Python 3.11 or newer is needed: make PYTHON=python3.12 ..."; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) \
	    || { echo "No virtual environment could be made: install your system's python3-venv."; exit 1; }
	@echo "Bringing packages into $(VENV): some minutes, and 2.5 GB on the disk ..."
	$(BIN)/python -m pip install --quiet --upgrade pip==$(PIP_VERSION)
	$(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt \
	    --group test --group check --editable '.[web,worker,redis,postgres,s3,train]'
	@# pip would compile on one core, and what hardly anybody imports, too: tests, and a third of
	@# all that is installed. Some packages carry files for newer Pythons: those fail.
	@$(BIN)/python -m compileall -q -q -j 0 \
	    -x '/tests/|/(sympy|moto|networkx)/|/torch/(_inductor|_dynamo|testing/_internal)/' \
	    $(VENV)/lib faces_jobs migrations models web || true
	@touch $@

demo: $(STAMP) ## the whole service once round on a sample clip, then serve at http://127.0.0.1:8000
	$(BIN)/faces-jobs demo

test: $(STAMP) ## every test; those whose service is missing are skipped, or fail with REQUIRE_SERVICES=1
	$(BIN)/python -m pytest --numprocesses $(TEST_PROCESSES)

check: $(STAMP) ## what CI checks beside the tests: format, lint, types, direction of imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP) ## format the code and mend what ruff can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

faults: $(STAMP) ## every fault at every point of a job's life; RUNS=3 for more of each, LANES=2 at once
	$(BIN)/python -m tests.faults --runs $(RUNS) --lanes $(LANES)

bench: $(STAMP) ## measure the limit, the pipeline, a plain loop and a peer side by side (8 min; keep the machine idle)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --group bench
	$(BIN)/python -m tests.bench

bench-jobs: $(STAMP) ## measure the job engine: SUBJECTS="clients images ...", ROWS=10000000, IMAGES=10000
	$(BIN)/python -m tests.bench_jobs $(SUBJECTS) $(if $(ROWS),--rows $(ROWS)) \
	    $(if $(IMAGES),--images $(IMAGES)) $(if $(REQUESTS),--requests $(REQUESTS)) \
	    $(if $(ROUNDS),--rounds $(ROUNDS))

bench-policies: $(STAMP) ## measure what detecting and judging less spares and loses (CLIPS="a.mp4 b.mp4")
	$(BIN)/python -m tests.bench.policies $(CLIPS)

wheel: $(STAMP) ## build the wheel into dist/
	rm -f dist/faces_jobs-*
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

images: wheel ## build the images faces-jobs-web and faces-jobs-worker (BASE=..., PIP_OPTIONS=...)
	for target in web worker; do \
	    docker build --file docker/Dockerfile --target $$target --tag faces-jobs-$$target \
	        $(if $(BASE),--build-arg BASE="$(BASE)") $(if $(PIP_OPTIONS),--build-arg PIP_OPTIONS="$(PIP_OPTIONS)") \
	        . || exit 1; \
	done

clean: ## remove the virtual environment and caches; uploads and results in var/ stay
	rm -rf $(VENV) dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

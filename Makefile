# Paths are relative and programs are called as modules, so that a folder with a space in its name works.

VENV = .venv/bin/python
PYTHON ?= python3
ARGS ?=
SECONDS ?= 60

.PHONY: run test tools check fuzz docs man bench audit clean help

help:
	@echo "make run    gafferd on the examples, with what to try next"
	@echo "make test   everything that CI runs; tests of programs that are not installed are skipped"
	@echo "make tools  install those programs: a browser, etcd, nginx and others; as root on Debian and Ubuntu"
	@echo "make check  only what reads the code: ruff, mypy, import contracts"
	@echo "make fuzz   random input for everything that reads, each for SECONDS=60"
	@echo "make docs   the documentation"
	@echo "make man    manual pages and shell completions, in contrib"
	@echo "make bench  the figures, beside other supervisors; ARGS='--help' lists the choices"
	@echo "make audit  licences and known vulnerabilities of what a user of gaffer installs; asks the package index"
	@echo "make clean  remove what the others made"

# The stamps are as old as the last install; setup.py is the only thing that makes another one necessary.
.venv/run.stamp: setup.py .ci/venv
	@echo "installing gaffer into .venv"
	@PYTHON="$(PYTHON)" .ci/venv .
	@touch $@

.venv/test.stamp: setup.py .ci/venv
	@echo "installing gaffer and its test tools into .venv"
	@PYTHON="$(PYTHON)" .ci/venv '.[test,docs]'
	@touch $@ .venv/run.stamp

# A site's files are moved under _site when it is first seen: that shall not happen to the examples themselves.
.run/plugins: | examples/plugins
	@mkdir -p .run
	@cp -R examples/plugins .run/plugins

run: .venv/run.stamp .run/plugins
	@cat .ci/try-this
	@cd examples && exec "../$(VENV)" -m gaffer.daemon.main -c gaffer.ini -p ../.run/plugins -v

test: check
	@.ci/tools $(if $(CI),install)
	@.ci/test $(ARGS)

tools:
	@.ci/tools install

check: .venv/test.stamp
	$(VENV) -m ruff check .
	$(VENV) -m ruff format --check .
	$(VENV) -m mypy
	$(VENV) -c 'import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())'

# All of them, whatever the first ones find.
fuzz: .venv/test.stamp
	@failed=0; \
	$(VENV) -m tests.fuzz.framing --seconds $(SECONDS) || failed=1; \
	$(VENV) -m tests.fuzz.server --seconds $(SECONDS) || failed=1; \
	if $(VENV) -c 'import atheris' 2>/dev/null; then $(VENV) -m tests.fuzz.run --seconds $(SECONDS) || failed=1; \
	else echo "without atheris, parsers are not fuzzed: $(VENV) -m pip install atheris"; fi; \
	if [ $$failed = 1 ]; then echo "something was found, see above" >&2; fi; exit $$failed

docs: .venv/test.stamp
	$(VENV) -m sphinx -q -n -W --keep-going docs docs/_build/html

man: .venv/test.stamp
	$(VENV) contrib/generate.py

bench: .venv/run.stamp
	$(VENV) -m bench.run $(ARGS)

audit: .venv/run.stamp
	@.ci/audit

clean:
	rm -rf .venv .run build dist docs/_build bench/.work *.egg-info .mypy_cache .pytest_cache .ruff_cache
	rm -rf .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Standfast: the commands of a working day. `make` alone lists them.
#
#   PYTHON=python3.12   the interpreter that makes .venv (3.11 or newer)
#   PORT=9000           where the web server listens
#   DATA_DIR=/path      where data lives (default: var)
#   ARGS="…"            handed to pytest, or to `manage.py up`

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
PORT ?= 8000
VENV := .venv
BIN := $(VENV)/bin
PEERS_VENV := .venv-peers
export PORT
export PYTHONUNBUFFERED = 1
# All start many processes from the same sources, which are compiled once, also where the environment says otherwise.
export PYTHONDONTWRITEBYTECODE =
ifdef DATA_DIR
export DATA_DIR
endif

.PHONY: help run test soak check fmt bench peers lock clean
help:
	@echo "make run     start everything: http://127.0.0.1:$(PORT)/ (PORT=, DATA_DIR=)"
	@echo "make test    install what the tests need, run them all, two at a time (ARGS='tests/unit -k name')"
	@echo "make soak    the tests that take minutes each"
	@echo "make check   linters, types, layers, templates, migrations"
	@echo "make fmt     let ruff sort imports and fix what it can"
	@echo "make bench   benchmarks (ONLY=steps,wake PEERS=dbos,langgraph,absurd,pgbench, or none)"
	@echo "make peers   install what the benchmarks compare with, into $(PEERS_VENV)"
	@echo "make lock    refresh the requirements*.lock"
	@echo "make clean   remove $(VENV) and $(PEERS_VENV); data in var/ stays"

run: $(VENV)/.installed
	@exec $(BIN)/python manage.py up --port $(PORT) $(ARGS)

# All of them: two at a time, since many wait for other processes.
BY_TWO = -p tests.two_lanes -n 2
test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest $(or $(ARGS),$(BY_TWO))

# What takes minutes each: their short forms are part of `make test`.
soak: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m soak $(ARGS)

# All checks run, also after one fails.
CHECKS = "ruff check ." "mypy" "lint-imports" "djlint --lint --quiet templates" \
	"python manage.py check --fail-level WARNING" "python manage.py makemigrations --check --dry-run"
check: $(VENV)/.installed-dev
	@failed=0; for check in $(CHECKS); do \
		echo "==> $$check"; $(BIN)/$$check || failed=1; \
	done; exit $$failed

fmt: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .

# Peers that can not be installed are left out: the run says which.
bench: $(VENV)/.installed-dev
	@case ",$(PEERS)," in *,none,*|,pgbench,) ;; *) $(MAKE) --no-print-directory peers || true ;; esac
	ONLY="$(ONLY)" PEERS="$(PEERS)" $(BIN)/python -m benchmarks

peers: $(PEERS_VENV)/.installed

# Plain indexes only, and no header: a lock file must not tell on which machine it was made.
LOCK = $(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header --upgrade --quiet
# The peers' lock knows nothing of ours: what they need must neither hold back nor push what the project runs on.
EXTRA = import sys, tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"][sys.argv[1]], sep="\n")
lock: $(VENV)/.installed-dev
	$(LOCK) --output-file requirements.lock
	$(LOCK) --extra dev --constraint requirements.lock --output-file requirements-dev.lock
	$(BIN)/python -c '$(EXTRA)' peers | $(subst pyproject.toml,-,$(LOCK)) --output-file requirements-peers.lock
	$(BIN)/python -c '$(EXTRA)' llm | $(subst pyproject.toml,-,$(LOCK)) --no-deps --output-file requirements-llm.lock

clean:
	rm -rf $(VENV) $(PEERS_VENV)

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Standfast needs Python 3.11 or newer; say which: make PYTHON=/path/to/python3"; exit 2; }
	@echo "==> making $(VENV) with $(PYTHON)"
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "On Debian and Ubuntu: apt install python3-venv"; exit 2; }

$(VENV)/.installed: requirements.lock | $(BIN)/python
	@echo "==> installing what Standfast needs (once; a minute or two)"
	$(BIN)/python -m pip install --disable-pip-version-check --require-hashes --requirement requirements.lock
	@touch $@

$(VENV)/.installed-dev: requirements-dev.lock requirements-llm.lock $(VENV)/.installed
	@echo "==> installing what tests and checks need (once)"
	$(BIN)/python -m pip install --disable-pip-version-check --require-hashes --requirement requirements-dev.lock
	$(BIN)/python -m pip install --disable-pip-version-check --require-hashes --no-deps --requirement requirements-llm.lock
	@touch $@

$(PEERS_VENV)/.installed: requirements-peers.lock
	@echo "==> installing what the benchmarks compare with (once)"
	@test -x $(PEERS_VENV)/bin/python || $(PYTHON) -m venv $(PEERS_VENV)
	$(PEERS_VENV)/bin/python -m pip install --disable-pip-version-check --quiet --require-hashes --requirement $<
	@touch $@

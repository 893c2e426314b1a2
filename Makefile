# Everything a checkout needs: `make run` to use it, `make test` and `make check` to change it.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help run test check format lock bench clean venv pages

PIP := .venv/bin/python -m pip --disable-pip-version-check

help: ## show these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

run: .venv/run.installed pages ## start Tributary with example data on PORT (8000 unless set)
	./tributary serve --demo $(if $(PORT),--port $(PORT))

test: .venv/dev.installed pages ## run all tests, also on a real PostgreSQL and a real Redis (ARGS="-k orders" narrows)
	.venv/bin/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder $(ARGS)

check: .venv/dev.installed pages ## formatting, lint, types, layers and breaking changes of the schema
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	@if [ -f web/dist/.built ]; then cd web && npm run check; fi
	./tributary schema check

format: .venv/dev.installed ## format the code and mend what the linter can mend
	.venv/bin/ruff check --fix-only .
	.venv/bin/ruff format .

bench: .venv/dev.installed ## measure Tributary beside a hand-written floor (docs: benchmarks/)
	.venv/bin/python -m benchmarks $(ARGS)

venv: .venv/run.installed ## only install what running needs, into .venv

# The first Python that is new enough and can make environments; PYTHON=... names another one.
.venv/bin/python:
	@for python in $(PYTHON) python3.14 python3.13 python3.12 python3.11 python3; do \
		if "$$python" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
			echo "making .venv with $$("$$python" --version)"; \
			exec "$$python" -m venv --clear .venv; \
		fi; \
	done; \
	echo "Tributary needs Python 3.11 or newer with its venv module (on Debian and Ubuntu: apt-get install python3-venv)." >&2; \
	exit 1

# The path file puts the checkout on the module path of everything in .venv, so that a platform from an outside package
# can import `schema` and `datasources`.
WRITE_PATH_FILE := import os, pathlib, sysconfig; \
	pathlib.Path(sysconfig.get_path("purelib"), "tributary.pth").write_text(os.getcwd() + "\n")

.venv/%.installed: requirements/%.txt | .venv/bin/python
	$(PIP) install --quiet --require-hashes --requirement $<
	@.venv/bin/python -c '$(WRITE_PATH_FILE)'
	@touch $@

pages: web/dist/.built

NODE_IS_NEW_ENOUGH := const [major, minor] = process.versions.node.split("."); process.exit(major * 100 + Number(minor) < 2019 ? 1 : 0)

web/dist/.built: $(shell find web -type f -not -path 'web/node_modules/*' -not -path 'web/dist/*' 2>/dev/null)
	@if command -v npm >/dev/null && node -e '$(NODE_IS_NEW_ENOUGH)' 2>/dev/null; then \
		cd web && npm ci --no-audit --no-fund && npm run build && touch dist/.built; \
	else \
		echo "Note: the pages (GraphiQL, dashboards) are not built, for want of Node 20.19 or newer with npm; the API is complete without them."; \
	fi

lock: | .venv/bin/python ## resolve the lock files in requirements/ anew
	@command -v uv >/dev/null || [ -x .venv/bin/uv ] || $(PIP) install --quiet uv
	@PATH="$$PATH:.venv/bin"; export UV_CUSTOM_COMPILE_COMMAND='make lock'; \
	lock() { \
		env -u UV_FIND_LINKS uv --no-config pip compile --quiet --upgrade --universal --python-version 3.11 \
			--generate-hashes --no-emit-index-url --no-emit-find-links pyproject.toml "$$@"; \
	}; \
	lock --output-file requirements/run.txt && \
	lock --group dev --constraint requirements/run.txt --output-file requirements/dev.txt

clean: ## remove what make made; data under var/ stays
	rm -rf .venv web/node_modules web/dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

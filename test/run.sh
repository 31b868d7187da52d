#!/usr/bin/env bash
# run.sh - installs what the tests need and runs all of them: the one command of the README, and CI.
#
#   test/run.sh            everything (about half an hour on two cores)
#   test/run.sh quick      what needs nothing but Go
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '\n== %s (%s)\n' "$*" "$(date +%T)"; }

if [ "${1:-}" = quick ]; then
  exec go test ./...
fi

say "what the tests need"
test/setup.sh
. "${ORION_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/orion-test}/env.sh"
export CI=true

say "formatting and vet"
unformatted=$(gofmt -l $(git ls-files '*.go'))
[ -z "$unformatted" ] || { echo "not gofmt-ed:"; echo "$unformatted"; exit 1; }
go vet ./...

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
say "the program"
go build -ldflags "-s -w" -o "$work/orion" ./cmd/orion
ls -l "$work/orion" | awk '{print $5 " bytes"}'
export ORION_TEST_BINARY=$work/orion

say "unit, store, contract and client tests"
# One package after another: several start servers and measure nothing, but two cores are two cores.
go test -p 1 -timeout 30m $(go list ./... | grep -v '/test/upstream$') # that comes last

say "the examples: every deployment runs once and ends as it should"
ORION_HOME=$work/home "$work/orion" up examples --once >"$work/up.log" 2>&1 || { tail -150 "$work/up.log"; exit 1; }
tail -3 "$work/up.log"

say "Prefect's own tests, with Orion as their server"
test/upstream/against_orion.sh
say "all passed"

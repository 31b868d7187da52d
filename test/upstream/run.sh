#!/usr/bin/env bash
# run.sh URL [PYTEST ARGUMENTS...] - runs Prefect's own top-level tests against the API server at
# URL (http://host:port/api), which they EMPTY again and again. test/setup.sh fetches the tests.
set -euo pipefail
[ $# -ge 1 ] || { sed -n '2,3s/^# //p' "$0" >&2; exit 2; }
api=${1%/}; shift
here=$(cd "$(dirname "$0")" && pwd)
cache=${ORION_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/orion-test}
[ -x "$cache/upstream/bin/python" ] || { echo "run.sh: Prefect's tests are absent: run test/setup.sh upstream" >&2; exit 2; }

# The files that use the API server. The others test the client alone: settings, serializers,
# file systems, plug-ins and the like would pass or fail the same against any server.
files=(artifacts automations background_tasks context deployments engine flow_runs flows flows_compat futures
  log_prints logging new_flow_engine new_task_engine states task_server tasks variables)

cd "$cache/upstream-tests"
PATH="$cache/upstream/bin:$PATH" PYTHONPATH="$here" UPSTREAM_API_URL=$api PYTHONDONTWRITEBYTECODE=1 \
  exec "$cache/upstream/bin/python" -m pytest -c setup.cfg -p external_api -p no:cacheprovider -q --timeout 90 \
  $([ -n "${UPSTREAM_FILES:-}" ] && printf 'tests/test_%s.py ' $UPSTREAM_FILES || printf 'tests/test_%s.py ' "${files[@]}") "$@"

#!/usr/bin/env bash
# run.sh "URL..." [PYTEST ARGUMENTS...] - runs Prefect's own top-level tests against the API server at URL
# (http://host:port/api), which they EMPTY again and again; with several URLs, as many tests at a time, each with a
# server of its own. test/setup.sh fetches the tests.
set -euo pipefail
[ $# -ge 1 ] || { sed -n '2,4s/^# //p' "$0" >&2; exit 2; }
read -r -a servers <<<"$1"; shift
here=$(cd "$(dirname "$0")" && pwd)
cache=${ORION_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/orion-test}
python=$cache/upstream/bin/python
[ -x "$python" ] || { echo "run.sh: Prefect's tests are absent: run test/setup.sh upstream" >&2; exit 2; }

# The files that use the API server. The others test the client alone: settings, serializers,
# file systems, plug-ins and the like would pass or fail the same against any server.
files=(artifacts automations background_tasks context deployments engine flow_runs flows flows_compat futures
  log_prints logging new_flow_engine new_task_engine states task_server tasks variables)

# They expect to be run from the folder that holds them and their fixtures, and write there.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -r "$cache/upstream-tests/tests" "$cache/upstream-tests/setup.cfg" "$here/external_api.py" "$here/excluded.txt" "$work"
touch "$work/tests/__init__.py" # they know themselves as tests.test_...
cd "$work"
PATH="${python%/*}:$PATH" PYTHONPATH="$work" UPSTREAM_API_URL="${servers[*]}" PYTHONDONTWRITEBYTECODE=1 \
  "$python" -m pytest -c setup.cfg -p external_api -p no:cacheprovider -q --timeout 90 --tb=native \
  -W 'ignore:`verify=<str>` is deprecated:DeprecationWarning' \
  $([ ${#servers[@]} -eq 1 ] || printf -- '-n %d' ${#servers[@]}) \
  $([ -n "${UPSTREAM_FILES:-}" ] && printf 'tests/test_%s.py ' $UPSTREAM_FILES || printf 'tests/test_%s.py ' "${files[@]}") "$@"

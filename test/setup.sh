#!/usr/bin/env bash
# setup.sh - installs what the tests need beyond Go, once, into a cache folder.
#
#   test/setup.sh            install everything, print the folder's env.sh
#   test/setup.sh python220  only the named parts: postgres uv python220 python28 cookiecutter upstream browser azurite s3 storage-python act
#
# The cache is $ORION_TEST_CACHE, else <user cache>/orion-test. Each environment is keyed by
# its requirements, so a second run does nothing, and a changed requirement rebuilds.
# Afterwards `. <cache>/env.sh` makes the tests find everything (they also look there unasked).
set -euo pipefail

cache=${ORION_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/orion-test}
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)

# What the environments hold. The 2.8 client predates the current releases of its own
# dependencies, hence the upper bounds.
python220_versions="3.11 3.12 3.10 3.9"
python220_requirements=("prefect==2.20.*" "greenlet" "setuptools<81")
python28_versions="3.10 3.11"
python28_requirements=("prefect==2.8.7" "pydantic<2" "griffe<0.40" "httpx<0.25" "anyio<4" "apprise<1.7" "pendulum<3" "cachetools" "setuptools<81")
# What Prefect's own tests need besides: their plugins, as old as they expect them.
upstream_requirements=("${python220_requirements[@]}" pip "pytest>7,<9" "pytest-asyncio>=0.18.2,!=0.22.0,<0.23.0" pytest-env pytest-timeout "pytest-xdist<3.9.0" respx "pendulum[test]<4" "regex" "exceptiongroup")
cookiecutter_versions="3.11 3.12 3.10 3.13"
cookiecutter_requirements=("cookiecutter==2.7.1")

# Prefect's storage blocks, and the libraries with which they reach Azure and S3; an emulator of Google's.
# The blocks for Azure predate the current management library.
storage_requirements=("${python220_requirements[@]}" "adlfs==2026.8.0" "s3fs==2026.9.0" "gcp-storage-emulator==2026.7.19" "prefect-azure[blob_storage]==0.3.11" "azure-mgmt-resource<24" "prefect-aws==0.4.20")

say() { printf 'setup: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

install_postgres() {
  if command -v initdb >/dev/null 2>&1 || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null; then return; fi
  command -v apt-get >/dev/null 2>&1 || { say "PostgreSQL is absent and there is no apt-get: install it, or set ORION_TEST_POSTGRES to a server's URL"; return; }
  [ "$(id -u)" = 0 ] || { say "PostgreSQL is absent: run 'apt-get install postgresql' as root, or set ORION_TEST_POSTGRES to a server's URL"; return; }
  say "installing PostgreSQL"
  # The package would start a cluster of its own; the tests start theirs.
  mkdir -p /etc/postgresql-common
  [ -f /etc/postgresql-common/createcluster.conf ] || echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
  apt-get update -qq >&2
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql >&2
}

# uv makes the environments: it is ten times faster than pip, and needs no venv module.
install_uv() {
  if command -v uv >/dev/null 2>&1; then uv=$(command -v uv); return; fi
  uv="$cache/uv/bin/uv"
  [ -x "$uv" ] && return
  say "installing uv"
  if python3 -m venv "$cache/uv" >/dev/null 2>&1; then
    "$cache/uv/bin/python" -m pip install -q uv
  else # no venv module: unpack it beside, as pip allows
    rm -rf "$cache/uv"
    python3 -m pip install -q --target "$cache/uv" uv || die "cannot install uv: python3 has neither venv nor pip (apt-get install python3-pip)"
  fi
}

# interpreter "3.10 3.11" prints the first of these Pythons that is here; uv fetches one if none is.
interpreter() {
  local v found
  for v in $1; do
    if found=$("$uv" python find --no-project "$v" 2>/dev/null) && "$found" -c 'import ssl, sqlite3' 2>/dev/null; then
      echo "$found"; return
    fi
  done
  v=${1%% *}
  "$uv" python install "$v" >&2 || die "no Python of $1 on this machine, and uv could not fetch one"
  "$uv" python find --no-project "$v"
}

# environment NAME "VERSIONS" REQUIREMENT... makes $cache/NAME unless it is there and current.
environment() {
  local name=$1 versions=$2 dir="$cache/$1" key python
  shift 2
  key=$(printf '%s\n' "$versions" "$@" | sha256sum | cut -c1-16)
  if [ -x "$dir/bin/python" ] && [ "$(cat "$dir/.key" 2>/dev/null)" = "$key" ]; then return; fi
  install_uv
  python=$(interpreter "$versions")
  say "building $name with $("$python" -V 2>&1)"
  rm -rf "$dir"
  "$uv" venv -q --python "$python" "$dir"
  "$uv" pip install -q --python "$dir/bin/python" "$@"
  printf '%s' "$key" >"$dir/.key"
}

# upstream_tests unpacks the tests of Prefect's source distribution, in the version that
# its environment holds. They are read from there and never become ours.
upstream_tests() {
  local python="$cache/upstream/bin/python" dir="$cache/upstream-tests" version
  version=$("$python" -c 'import importlib.metadata as m; print(m.version("prefect"))')
  [ "$(cat "$dir/.version" 2>/dev/null)" = "$version" ] && return
  say "fetching the tests of Prefect $version"
  rm -rf "$dir"
  mkdir -p "$dir/download"
  "$python" -m pip download -q --no-deps --no-binary prefect --dest "$dir/download" "prefect==$version" >&2
  tar -xzf "$dir/download/prefect-$version.tar.gz" -C "$dir" --strip-components=1 "prefect-$version/tests" "prefect-$version/setup.cfg"
  rm -rf "$dir/download"
  sed -i '/boto3/d; /google/d' "$dir/setup.cfg" # it silences warnings of packages that we do not need
  printf '%s' "$version" >"$dir/.version"
}

# --- browser: what the journeys of test/browser drive the page with ---
browser_modules=("playwright-core@1.65.1" "axe-core@4.14.1")
install_browser() {
  local dir="$cache/browser" key
  if ! command -v chromium >/dev/null 2>&1 || ! command -v npm >/dev/null 2>&1; then
    if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
      say "installing Chromium and Node.js"
      apt-get update -qq >&2
      command -v chromium >/dev/null 2>&1 || DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >&2
      command -v npm >/dev/null 2>&1 || DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nodejs npm >&2
    fi
    command -v npm >/dev/null 2>&1 || { say "Node.js is absent: install node and npm for the browser tests"; return; }
    command -v chromium >/dev/null 2>&1 || say "Chromium is absent: install it, or set ORION_TEST_CHROMIUM to a Chrome"
  fi
  key="${browser_modules[*]}"
  [ "$(cat "$dir/.key" 2>/dev/null)" = "$key" ] && return
  say "installing ${browser_modules[*]}"
  rm -rf "$dir"
  mkdir -p "$dir"
  npm install --silent --no-audit --no-fund --prefix "$dir" "${browser_modules[@]}" >&2
  printf '%s' "$key" >"$dir/.key"
}
# --- end of browser ---

# --- storage: what the stores of internal/codestore are tested against ---
azurite_version=3.37.0
install_azurite() {
  local dir="$cache/azurite"
  [ "$(cat "$dir/.key" 2>/dev/null)" = "$azurite_version" ] && return
  if ! command -v npm >/dev/null 2>&1 && command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
    say "installing Node.js"
    apt-get update -qq >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nodejs npm >&2
  fi
  command -v npm >/dev/null 2>&1 || { say "Node.js is absent: install node and npm for the tests of Azure storage"; return; }
  say "installing Azurite $azurite_version"
  rm -rf "$dir"
  mkdir -p "$dir"
  npm install --silent --no-audit --no-fund --prefix "$dir" "azurite@$azurite_version" >&2
  printf '%s' "$azurite_version" >"$dir/.key"
}

versitygw_version=v1.8.0
install_s3() {
  local dir="$cache/s3"
  [ "$(cat "$dir/.key" 2>/dev/null)" = "$versitygw_version" ] && return
  say "building the S3 server versitygw $versitygw_version"
  rm -rf "$dir"
  mkdir -p "$dir"
  CGO_ENABLED=0 GOBIN="$dir" go install "github.com/versity/versitygw/cmd/versitygw@$versitygw_version" >&2
  printf '%s' "$versitygw_version" >"$dir/.key"
}
# --- end of storage ---

# --- ci: what runs and reads workflows of GitHub on this machine ---
act_version=v0.2.89
actionlint_version=v1.7.12
install_act() {
  local dir="$cache/act" key="$act_version $actionlint_version"
  [ "$(cat "$dir/.key" 2>/dev/null)" = "$key" ] && return
  say "building act $act_version and actionlint $actionlint_version"
  rm -rf "$dir"
  mkdir -p "$dir"
  CGO_ENABLED=0 GOBIN="$dir" go install "github.com/nektos/act@$act_version" >&2
  CGO_ENABLED=0 GOBIN="$dir" go install "github.com/rhysd/actionlint/cmd/actionlint@$actionlint_version" >&2
  printf '%s' "$key" >"$dir/.key"
}
# --- end of ci ---

write_env() {
  {
    echo "# written by test/setup.sh"
    [ -x "$cache/python220/bin/python" ] && echo "export ORION_TEST_PYTHON_220='$cache/python220/bin/python'"
    [ -x "$cache/python28/bin/python" ] && echo "export ORION_TEST_PYTHON_28='$cache/python28/bin/python'"
    [ -x "$cache/cookiecutter/bin/cookiecutter" ] && echo "export ORION_TEST_COOKIECUTTER='$cache/cookiecutter/bin/cookiecutter'"
    [ -x "$cache/upstream/bin/python" ] && echo "export ORION_TEST_UPSTREAM='$cache'"
    [ -x "$cache/storage-python/bin/python" ] && echo "export ORION_TEST_STORAGE_PYTHON='$cache/storage-python/bin/python'"
    [ -x "$cache/azurite/node_modules/.bin/azurite-blob" ] && echo "export ORION_TEST_AZURITE='$cache/azurite/node_modules/.bin/azurite-blob'"
    [ -x "$cache/act/act" ] && [ -x "$cache/act/actionlint" ] && echo "export ORION_TEST_ACT='$cache/act'"
    [ -x "$cache/s3/versitygw" ] && echo "export ORION_TEST_S3_SERVER='$cache/s3/versitygw'"
    true
  } >"$cache/env.sh.new"
  mv "$cache/env.sh.new" "$cache/env.sh"
}

# One at a time: two test processes may both find the cache empty.
exec 9>"$cache/.lock"
if command -v flock >/dev/null 2>&1; then flock 9; fi

[ $# -gt 0 ] || set -- postgres uv python220 python28 cookiecutter upstream browser azurite s3 storage-python act
for part in "$@"; do
  case $part in
    postgres) install_postgres ;;
    uv) install_uv ;;
    python220) environment python220 "$python220_versions" "${python220_requirements[@]}" ;;
    python28) environment python28 "$python28_versions" "${python28_requirements[@]}" ;;
    upstream)
      environment upstream "$python220_versions" "${upstream_requirements[@]}"
      upstream_tests ;;
    browser) install_browser ;;
    azurite) install_azurite ;;
    s3) install_s3 ;;
    act) install_act ;;
    storage-python) environment storage-python "$python220_versions" "${storage_requirements[@]}" ;;
    cookiecutter) environment cookiecutter "$cookiecutter_versions" "${cookiecutter_requirements[@]}" ;;
    *) die "unknown part '$part': postgres uv python220 python28 cookiecutter upstream browser azurite s3 storage-python act" ;;
  esac
done
write_env
cat "$cache/env.sh"

#!/bin/sh
# Makes .venv with the pinned dependencies and the project itself. Needs a Python; gets uv by itself.
# Says nothing and ends at once when .venv already fits the pins.
set -eu
cd "$(dirname "$0")/.."

# What .venv is made from; the stamp inside .venv names the content it was made for.
wanted=$(cat requirements-dev.lock requirements-uv.lock pyproject.toml tools/setup.sh | cksum)
stamp=.venv/.made-for
if [ -x .venv/bin/holdfast ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted$PWD" ] \
  && .venv/bin/python -c '' 2>/dev/null; then
  exit 0
fi

say() { printf '%s\n' "$*" >&2; }

# Candidates for a Python, best first. Under pyenv the name on the path is a shim that fails when the version
# named in .python-version is not installed, so the versions that are installed are tried by their own paths too.
pythons() {
  for name in python3.12 python3.13 python3.14 python3 python; do
    command -v "$name" || true
  done
  for folder in $(printf '%s' "$PATH" | tr ':' ' '); do
    for name in python3.12 python3.13 python3.14 python3; do
      [ -x "$folder/$name" ] && printf '%s\n' "$folder/$name"
    done
  done
  for path in "${PYENV_ROOT:-$HOME/.pyenv}"/versions/*/bin/python3; do
    [ -x "$path" ] && printf '%s\n' "$path"
  done
  return 0
}

# A uv that works: a name that answers is not enough, since a shim may stand for a version that lacks it.
uv=
get_uv() {
  for found in .tools/bin/uv uv; do
    if "$found" --version >/dev/null 2>&1; then
      uv=$found
      return
    fi
  done
  say "Getting uv into .tools/ ..."
  problem=$(mktemp)
  pythons | while read -r python; do
    rm -rf .tools
    if "$python" -m venv .tools >"$problem" 2>&1 \
      && .tools/bin/python -m pip install --quiet --require-hashes -r requirements-uv.lock >"$problem" 2>&1; then
      break
    fi
  done
  if .tools/bin/uv --version >/dev/null 2>&1; then
    uv=.tools/bin/uv
    rm -f "$problem"
    return
  fi
  cat "$problem" >&2
  rm -f "$problem"
  say "uv is missing and could not be put into .tools/. Either install uv yourself, or see to a python3 with its venv"
  say "module (on Debian and Ubuntu: apt install python3-venv) and a reachable package index, then run this again."
  exit 1
}

get_uv

# 3.12 is what Vercel runs by default; any later one does. uv fetches one only where none is found.
python='>=3.12'
for candidate in $(pythons); do
  if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 12))' >/dev/null 2>&1; then
    python=$("$candidate" -c 'import sys; print(sys.executable)')
    break
  fi
done

say "Setting up .venv ..."
# An environment that works is brought up to date in its place: whatever runs from it goes on.
if ! .venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 12))' >/dev/null 2>&1; then
  rm -rf .venv
  "$uv" venv --quiet --no-project --python "$python" .venv
fi
VIRTUAL_ENV=$PWD/.venv
export VIRTUAL_ENV
"$uv" pip sync --quiet --require-hashes requirements-dev.lock
# The build backend is one of the pins, so nothing unpinned is fetched to build the project itself.
"$uv" pip install --quiet --no-deps --no-build-isolation --editable .
printf '%s' "$wanted$PWD" >"$stamp"

#!/usr/bin/env bash
# Make .venv with the tested set of packages: `tools/setup.sh` for running, `tools/setup.sh dev` for tests and lint too.
# A second call with unchanged pyproject.toml and constraints.txt ends at once.
set -euo pipefail
cd "$(dirname "$0")/.."

wanted="${1:-run}"
key="$(cat pyproject.toml constraints.txt | cksum | tr -d ' ')"
stamp=".venv/.c2vl-setup"
extras="."
[ "$wanted" = dev ] && extras=".[dev]"

suits() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1; }

if [ -f "$stamp" ] && suits .venv/bin/python; then
  read -r made_key made_for < "$stamp" || true
  if [ "$made_key" = "$key" ] && { [ "$made_for" = dev ] || [ "$wanted" = run ]; }; then exit 0; fi
  [ "$made_for" = dev ] && wanted=dev extras=".[dev]"
fi

if ! suits .venv/bin/python; then
  python=""
  for candidate in ${PYTHON:-python3.11 python3.12 python3.13 python3}; do
    if suits "$candidate"; then python="$candidate"; break; fi
  done
  if [ -z "$python" ]; then
    found="$("${PYTHON:-python3}" --version 2>&1 || true)"
    echo "Wanted Python 3.11, 3.12 or 3.13; found ${found:-none}${PYTHON:+ (PYTHON=$PYTHON)}. Install Python 3.11," \
      "or name it: make ${MAKECMDGOALS:-setup} PYTHON=/path/to/python3.11" >&2
    exit 2
  fi
  echo "Making .venv with $("$python" --version)"
  if ! "$python" -m venv --clear .venv; then
    echo "Python's venv module does not work here. On Debian or Ubuntu: sudo apt install python3.11-venv" >&2
    exit 2
  fi
fi

echo "Installing the pinned packages into .venv (several minutes the first time)"
rm -f "$stamp"
# Two kinds of lines would drown pip's progress: packages that are there already, and package folders that are not.
set +e
.venv/bin/python -m pip install --disable-pip-version-check -c constraints.txt -e "$extras" 2>&1 |
  awk '!/is ignored: it is (either|neither)/ && !/^Requirement already satisfied/ { print; fflush() }'
status="${PIPESTATUS[0]}"
set -e
if [ "$status" != 0 ]; then
  echo "The installation failed (pip's last lines above say why). The same command goes on where it stopped." >&2
  exit "$status"
fi
echo "$key $wanted" > "$stamp"
echo "Installed into .venv"

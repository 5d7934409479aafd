#!/usr/bin/env bash
# Make the virtual environment $1 with sparkctl and its development tools, installing Python's venv module where the
# distribution left it out.
set -euo pipefail
venv=$1
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
  echo "Installing python3-venv, which this system's python3 lacks"
  as_root apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv
fi
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
echo "Installing sparkctl into $venv"
"$venv/bin/pip" install -q --upgrade 'pip>=25.1'
"$venv/bin/pip" install -q --editable . --group dev

#!/usr/bin/env bash
# Make the virtual environment $1 with sparkctl and its development tools, installing Python's venv module where the
# distribution left it out.
set -euo pipefail
venv=$1

if ! python3 -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))'; then
  echo "sparkctl needs Python 3.11, 3.12 or 3.13; python3 is: $(python3 --version 2>&1)" >&2
  exit 1
fi
if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
  echo "Installing python3-venv, which this system's python3 lacks"
  tests/apt.sh python3-venv
fi
"$venv/bin/python" -m pip --version >/dev/null 2>&1 || python3 -m venv --clear "$venv"
echo "Installing sparkctl into $venv"
"$venv/bin/python" -m pip install -qq --upgrade 'pip>=25.1'
"$venv/bin/python" -m pip install -qq --editable '.[agents]' --group dev

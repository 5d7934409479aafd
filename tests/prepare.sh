#!/usr/bin/env bash
# Install what the tests run against and this system lacks: a real sshd, rsync, network namespaces, a Docker engine,
# PostgreSQL, Prometheus, Chromium.
# With the argument `binary`, only what PyInstaller needs beside its Python.
set -euo pipefail
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
export PATH=$PATH:/usr/sbin:/sbin

missing=()
need() { command -v "$1" >/dev/null || missing+=("$2"); }
need objdump binutils
if ! .venv/bin/python -c 'import ctypes, sysconfig; ctypes.CDLL(sysconfig.get_config_var("INSTSONAME"))' 2>/dev/null; then
  missing+=("libpython$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_python_version())')")
fi
if [ "${1:-}" != binary ]; then
  need sshd openssh-server
  need ssh openssh-client
  need rsync rsync
  need ip iproute2
  need sudo sudo
  need curl curl
  need iperf3 iperf3
  need zsh zsh # tests of the completion scripts
  need fish fish
  docker compose version >/dev/null 2>&1 || need docker-compose docker-compose
  need busybox busybox-static # tests of the Docker transport make an image of it
  need prometheus prometheus  # tests of the agents' figures, rules and dashboards
  need chromium chromium      # tests of the web UI
  need chromedriver chromium-driver
  compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || missing+=(postgresql) # tests of the agents start their own; Debian keeps it off the PATH
fi

if [ ${#missing[@]} -gt 0 ]; then
  echo "Installing for the tests: ${missing[*]}"
  tests/apt.sh "${missing[@]}"
  # A server that nobody asked for must not listen: the tests start their own.
  for server in openssh-server:ssh postgresql:postgresql prometheus:prometheus; do
    case " ${missing[*]} " in
    *" ${server%:*} "*) as_root systemctl disable --now "${server#*:}" >/dev/null 2>&1 || true ;;
    esac
  done
fi
[ "${1:-}" = binary ] && exit
as_root mkdir -p /run/sshd
.venv/bin/python - <<'PYTHON'
from sparkctl.errors import SparkctlError
from sparkctl.lab import host

try:
    host.engine(print)
except SparkctlError as error:
    raise SystemExit(f"{error.output}\n{error.where}: {error.what}\nnext: {error.fix}".strip()) from None
PYTHON

#!/usr/bin/env bash
# Install the distribution's packages named, as root or through sudo; apt's output is shown where it fails.
set -euo pipefail
export PATH=$PATH:/usr/sbin:/sbin # dpkg refuses to work without them, and a plain `su` does not set them
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

if ! command -v apt-get >/dev/null; then
  echo "missing: $*; install them with your distribution's package manager, then run this command again" >&2
  exit 1
fi
if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
  echo "missing: $*; there is no sudo, so run this command again as root" >&2
  exit 1
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt() { as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq "$@" </dev/null >>"$log" 2>&1; }
# A foreign package source that cannot be read does not matter as long as the packages are found.
apt update || true
if ! apt install -y -o DPkg::Lock::Timeout=600 --no-install-recommends --no-remove "$@"; then
  cat "$log" >&2
  echo "apt-get could not install: $*" >&2
  exit 1
fi

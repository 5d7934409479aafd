#!/usr/bin/env bash
# Install what the test suite runs against and this system lacks: a real sshd, rsync, network namespaces, tmux.
set -euo pipefail
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
export PATH=$PATH:/usr/sbin:/sbin

missing=()
need() { command -v "$1" >/dev/null || missing+=("$2"); }
need sshd openssh-server
need ssh openssh-client
need rsync rsync
need ip iproute2
need ss iproute2
need sudo sudo
need curl curl
need busybox busybox-static # tests of the Docker transport make an image of it

if [ ${#missing[@]} -gt 0 ]; then
  echo "Installing for the tests: ${missing[*]}"
  as_root apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
  # A server that nobody asked for must not listen: the tests start their own.
  case " ${missing[*]} " in *" openssh-server "*) as_root systemctl disable --now ssh >/dev/null 2>&1 || true ;; esac
fi
as_root mkdir -p /run/sshd

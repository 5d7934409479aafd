#!/usr/bin/env bash
# Run a command that talks to this machine's Docker engine: root may, others get the right through the group docker.
# With --as-is first, who lacks that right does not get it: the command itself says what is missing.
set -euo pipefail
as_is=
if [ "$1" = --as-is ]; then
  as_is=yes
  shift
fi
user=$(id -un)
if [ "$(id -u)" = 0 ] || [ -n "${DOCKER_HOST:-}" ] || [ -w /var/run/docker.sock ] || [ "$(uname)" != Linux ]; then
  exec "$@"
fi
if ! id -nG "$user" | grep -qw docker; then
  if [ "$as_is" ]; then
    exec "$@"
  fi
  if ! command -v sudo >/dev/null; then
    echo "$user may not use a Docker engine, and there is no sudo: run this command again as root, or let root run" \
      "groupadd --force docker; usermod --append --groups docker $user" >&2
    exit 1
  fi
  echo "Adding $user to the group docker, whose members may use the Docker engine and thereby rule this machine"
  sudo groupadd --force docker
  sudo usermod --append --groups docker "$user"
fi
exec sg docker -c "$(printf '%q ' "$@")"

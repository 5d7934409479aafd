#!/usr/bin/env bash
# Run a command that talks to this machine's Docker engine: root may, others get the right through the group docker.
set -euo pipefail
user=$(id -un)
if [ "$(id -u)" = 0 ] || [ -n "${DOCKER_HOST:-}" ] || [ -w /var/run/docker.sock ] || [ "$(uname)" != Linux ]; then
  exec "$@"
fi
if ! id -nG "$user" | grep -qw docker; then
  echo "Adding $user to the group docker, whose members may use the Docker engine and thereby rule this machine"
  sudo groupadd --force docker
  sudo usermod --append --groups docker "$user"
fi
exec sg docker -c "$(printf '%q ' "$@")"

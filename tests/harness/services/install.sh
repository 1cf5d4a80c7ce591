#!/usr/bin/env bash
# Installs the services that tests start: slapd, RabbitMQ, etcd and Redis, as packages of Debian or Ubuntu.
# Their packages would start system services: those stay off. What is there already is left as it is.
set -euo pipefail

declare -A packages=(
  [slapd]="slapd ldap-utils"
  [rabbitmq-server]="rabbitmq-server"
  [etcd]="etcd-server"
  [redis-server]="redis-server"
)
wanted=""
for program in "${!packages[@]}"; do
  if ! PATH="$PATH:/usr/sbin" command -v "$program" >/dev/null; then
    wanted+=" ${packages[$program]}"
  fi
done
if [ -z "$wanted" ]; then
  echo "all services that tests start are installed"
  exit 0
fi
if ! command -v apt-get >/dev/null || [ "$(id -u)" -ne 0 ]; then
  echo "make services: installing$wanted takes apt-get and root; without them the tests that need them are skipped by name" >&2
  exit 1
fi
echo "installing$wanted with apt-get; no system service is started ..."
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod +x "$policy"
  trap 'rm -f "$policy"' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086 - a list of words
apt-get install -y -qq --no-install-recommends $wanted >/dev/null
echo "installed$wanted"

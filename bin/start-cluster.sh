#!/usr/bin/env bash
# Starts the standalone cluster of conf/masters and conf/workers: bin/start-cluster.sh [--configDir dir] [-Dkey=value ...]
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/_env"
exec "$python" -m yarnflow.cli.main standalone start "$@"

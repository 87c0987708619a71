#!/usr/bin/env bash
# Stops the standalone cluster of conf/masters and conf/workers: bin/stop-cluster.sh [--configDir dir] [-Dkey=value ...]
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/_env"
exec "$python" -m yarnflow.cli.main standalone stop "$@"

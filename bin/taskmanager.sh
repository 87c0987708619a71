#!/usr/bin/env bash
# A standalone TaskManager: bin/taskmanager.sh start|start-foreground|stop|stop-all [-Dkey=value ...]
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/_env"
[ $# -gt 0 ] || set -- --help
exec "$python" -m yarnflow.cli.main taskmanager "$@"

#!/usr/bin/env bash
# A standalone JobManager: bin/jobmanager.sh start|start-foreground|stop|stop-all [host] [webui-port] [-Dkey=value ...]
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/_env"
[ $# -gt 0 ] || set -- --help
exec "$python" -m yarnflow.cli.main jobmanager "$@"

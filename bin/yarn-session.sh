#!/usr/bin/env bash
# Starts a session on YARN, or attaches to one; options are those of Flink's yarn-session.sh.
set -euo pipefail
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/_env"
exec "$python" -m yarnflow.cli.main session "$@"

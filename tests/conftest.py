"""For all tests."""

from __future__ import annotations

import os

# Some tests fork in this process, as slot workers do, and others have loaded gRPC into it, whose handlers would
# start its threads again in the child and end that with SIGABRT. Read when gRPC is first used.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"

"""What a YARN cluster offers: the answer to `yarn-session.sh -q`."""

from __future__ import annotations

from typing import Any

from yarnflow.config import Configuration
from yarnflow.yarn import hadoop_conf
from yarnflow.yarn.rm_rest import ResourceManagerClient


def cluster_resources(config: Configuration) -> dict[str, Any]:
    """Nodes, the largest container and the queues, as plain data.

    Raises ConfigurationError, ClusterUnreachableError or ClusterError.
    """
    with ResourceManagerClient(hadoop_conf.load(config)) as yarn:
        maximum = yarn.maximum_allocation()
        return {
            "nodes": [
                {
                    "id": node.node_id,
                    "memoryMB": node.total.memory_mb,
                    "vcores": node.total.vcores,
                    "usedMemoryMB": node.used.memory_mb,
                    "usedVcores": node.used.vcores,
                }
                for node in yarn.nodes()
            ],
            "maximumAllocation": None
            if maximum is None
            else {"memoryMB": maximum.memory_mb, "vcores": maximum.vcores},
            "queues": [
                {"name": queue.name, "path": queue.path, "state": queue.state} for queue in yarn.queues()
            ],
        }

"""Tools for testing programs and yarnflow itself.

mini_cluster     run programs on a MiniCluster of a chosen shape
FailingSource    a source that fails where a FaultPlan says, across restarts and processes
ScriptedSource   a source that plays scripts: records with times, and waits
ManualClock      time that only a test moves
"""

from yarnflow.testing.failing_source import FailingSource, InjectedFault
from yarnflow.testing.fault_plan import FaultKind, FaultPlan
from yarnflow.testing.manual_clock import ManualClock
from yarnflow.testing.mini_cluster import mini_cluster
from yarnflow.testing.scripted_source import At, ScriptedSource, Until, watermark_per_batch

__all__ = [
    "At",
    "FailingSource",
    "FaultKind",
    "FaultPlan",
    "InjectedFault",
    "ManualClock",
    "ScriptedSource",
    "Until",
    "mini_cluster",
    "watermark_per_batch",
]

"""Tools for testing programs and yarnflow itself.

mini_cluster     run programs on a MiniCluster of a chosen shape
FailingSource    a source that fails where a FaultPlan says, across restarts and processes
ManualClock      time that only a test moves
"""

from yarnflow.testing.failing_source import FailingSource, InjectedFault
from yarnflow.testing.fault_plan import FaultKind, FaultPlan
from yarnflow.testing.manual_clock import ManualClock
from yarnflow.testing.mini_cluster import mini_cluster

__all__ = ["FailingSource", "FaultKind", "FaultPlan", "InjectedFault", "ManualClock", "mini_cluster"]

"""The two kinds of time under the module name of PyFlink."""

from yarnflow.functions.timers import TimeDomain

__all__ = ["TimeDomain"]

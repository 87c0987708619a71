"""The timer service under the module name of PyFlink."""

from yarnflow.functions.timers import TimerService

__all__ = ["TimerService"]

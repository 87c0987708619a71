"""Which operator runs a WindowSpec."""

from __future__ import annotations

from yarnflow.functions.windows import count_windows, time_windows, triggers
from yarnflow.graph.operators import Operator, WindowSpec
from yarnflow.runtime.operators.base import OperatorContext, StreamOperator
from yarnflow.runtime.operators.windows.contents import contents_of
from yarnflow.runtime.operators.windows.count import CountWindowOperator
from yarnflow.runtime.operators.windows.operator import WindowOperator
from yarnflow.runtime.operators.windows.session import SessionOperator
from yarnflow.runtime.operators.windows.sliding import SlidingPanesOperator
from yarnflow.runtime.operators.windows.time import TimeWindowsOperator

#: Assigners whose windows all keys share -> the trigger that fires them together.
_SHARED: dict[type, type] = {
    time_windows.TumblingEventTimeWindows: triggers.EventTimeTrigger,
    time_windows.SlidingEventTimeWindows: triggers.EventTimeTrigger,
    time_windows.TumblingProcessingTimeWindows: triggers.ProcessingTimeTrigger,
    time_windows.SlidingProcessingTimeWindows: triggers.ProcessingTimeTrigger,
}
#: The same for sessions.
_SESSIONS: dict[type, type] = {
    time_windows.EventTimeSessionWindows: triggers.EventTimeTrigger,
    time_windows.DynamicEventTimeSessionWindows: triggers.EventTimeTrigger,
    time_windows.ProcessingTimeSessionWindows: triggers.ProcessingTimeTrigger,
    time_windows.DynamicProcessingTimeSessionWindows: triggers.ProcessingTimeTrigger,
}


def make_window(operator: Operator, context: OperatorContext) -> StreamOperator:
    """Make the running operator."""
    spec = operator.spec
    assert isinstance(spec, WindowSpec)
    if spec.aggregates:
        # pyarrow is only loaded in workers that run columnar operators.
        from yarnflow.runtime.operators.columns.window import ColumnarWindowOperator

        return ColumnarWindowOperator(operator, context)
    # Exact types: what derives from them may do otherwise.
    kind, trigger = type(spec.assigner), type(spec.trigger)
    if spec.evictor is not None:
        return WindowOperator(operator, context)
    if _counts(spec):
        return CountWindowOperator(operator, context)
    if kind in _SESSIONS and trigger in (type(None), _SESSIONS[kind]):
        return SessionOperator(operator, context)
    if kind not in _SHARED or trigger not in (type(None), _SHARED[kind]):
        return WindowOperator(operator, context)
    if spec.assigner.slide < spec.assigner.size and contents_of(operator.name, spec).can_merge():
        sliding = SlidingPanesOperator(operator, context)
        if not sliding.has_clear:  # clear() is called for each window and key, which panes do not know
            return sliding
    return TimeWindowsOperator(operator, context)


def _counts(spec: WindowSpec) -> bool:
    """Whether windows fire when they are full, and are forgotten then."""
    kind, trigger = type(spec.assigner), spec.trigger
    if kind is count_windows.GlobalWindows:
        return type(trigger) is triggers.PurgingTrigger and type(trigger.nested_trigger) is triggers.CountTrigger
    return trigger is None and kind in (
        count_windows.CountTumblingWindowAssigner,
        count_windows.CountSlidingWindowAssigner,
    )

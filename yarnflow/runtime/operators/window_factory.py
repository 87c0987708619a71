"""Which operator runs a WindowSpec."""

from __future__ import annotations

from yarnflow.functions.windows import time_windows, triggers
from yarnflow.graph.operators import Operator, WindowSpec
from yarnflow.runtime.operators.base import OperatorContext, StreamOperator
from yarnflow.runtime.operators.window_contents import contents_of
from yarnflow.runtime.operators.window_operator import WindowOperator
from yarnflow.runtime.operators.window_sliding import SlidingPanesOperator
from yarnflow.runtime.operators.window_time import TimeWindowsOperator

#: Assigners whose windows all keys share -> the trigger that fires them together.
_SHARED: dict[type, type] = {
    time_windows.TumblingEventTimeWindows: triggers.EventTimeTrigger,
    time_windows.SlidingEventTimeWindows: triggers.EventTimeTrigger,
    time_windows.TumblingProcessingTimeWindows: triggers.ProcessingTimeTrigger,
    time_windows.SlidingProcessingTimeWindows: triggers.ProcessingTimeTrigger,
}


def make_window(operator: Operator, context: OperatorContext) -> StreamOperator:
    """Make the running operator."""
    spec = operator.spec
    assert isinstance(spec, WindowSpec)
    if spec.aggregates:
        # pyarrow is only loaded in workers that run columnar operators.
        from yarnflow.runtime.operators.columnar_window import ColumnarWindowOperator

        return ColumnarWindowOperator(operator, context)
    # Exact types: what derives from them may do otherwise.
    shared = _SHARED.get(type(spec.assigner))
    if shared is None or spec.evictor is not None or type(spec.trigger) not in (type(None), shared):
        return WindowOperator(operator, context)
    if spec.assigner.slide < spec.assigner.size and contents_of(operator.name, spec).can_merge():
        sliding = SlidingPanesOperator(operator, context)
        if not sliding.has_clear:  # clear() is called for each window and key, which panes do not know
            return sliding
    return TimeWindowsOperator(operator, context)

"""Column expressions, for `filter`, `select`, windows and friends: `col("delay") > 60`, `col("delay").mean()`."""

from yarnflow.functions.expressions import (
    VALUE_COLUMN,
    Aggregate,
    Expression,
    col,
    count,
    lit,
    window_end,
    window_start,
)

__all__ = ["VALUE_COLUMN", "Aggregate", "Expression", "col", "count", "lit", "window_end", "window_start"]

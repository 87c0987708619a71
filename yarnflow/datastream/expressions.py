"""Column expressions, for `filter`, `select` and friends: `col("delay") > 60`."""

from yarnflow.functions.expressions import VALUE_COLUMN, Expression, col, lit

__all__ = ["VALUE_COLUMN", "Expression", "col", "lit"]

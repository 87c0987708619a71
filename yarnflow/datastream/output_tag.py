"""`OutputTag` under the module name of PyFlink."""

from yarnflow.functions.output_tag import OutputTag

__all__ = ["OutputTag"]

"""Types of columns, which PyFlink has in `pyflink.table`."""

from yarnflow.functions.connectors.data_types import DataTypes

__all__ = ["DataTypes"]

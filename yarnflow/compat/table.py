"""What `pyflink.table` gives: `DataTypes`, in which DataStream programs declare the columns of CSV and Parquet.
Of the Table API itself there is nothing."""

from __future__ import annotations

from typing import Any

from yarnflow.functions.connectors.data_types import DataTypes

__all__ = ["DataTypes"]

NOT_THE_TABLE_API = (
    "yarnflow runs programs of the DataStream API, not of the Table API. "
    "Express the query with DataStream operations, or run this program with Flink"
)

#: Modules below: none, says the import hook.
__path__: list[str] = []


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(f"module 'pyflink.table' has no attribute {name!r}")
    raise ImportError(f"no {name} in 'pyflink.table': {NOT_THE_TABLE_API}", name="pyflink.table")

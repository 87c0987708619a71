"""Formats of files, under PyFlink's module names."""

from yarnflow.functions.connectors.data_types import DataTypes

__all__ = ["DataTypes"]

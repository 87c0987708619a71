"""Operators on Arrow columns."""

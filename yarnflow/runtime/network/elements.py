"""What travels through a channel: batches of data, and control elements in band between them.

A channel keeps the order in which its producer wrote. Data is a `RowBatch` or `ColumnBatch` (functions/batch.py);
everything else is an `Element`, so `isinstance(x, Element)` tells control from data. Watermarks and
checkpoint barriers join `EndOfData` here as further subclasses.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Element:
    """Base of control elements. They are small and travel pickled between workers."""


@dataclass(frozen=True)
class EndOfData(Element):
    """The producer has written its last batch into this channel."""

"""Batches and control elements as bytes.

Records are pickled with protocol 5. Rows that look like flat tuples or plain values go without the memo
(`Pickler.fast`), which halves the cost; looking at a few of them is enough because a wrong guess costs
space or an exception that leads to the ordinary pickler, never a wrong value. marshal would be faster
still, but it turns bytearrays and NumPy values into bytes without a word, and checking every value
for that costs more than it gains (docs/adr/0006).
Objects whose classes live in the user's program (`__main__`) need cloudpickle.
"""

from __future__ import annotations

import io
import pickle
from typing import Any

from yarnflow.errors import ProgramError
from yarnflow.functions.batch import Batch, ColumnBatch, RowBatch
from yarnflow.runtime.network.elements import Element
from yarnflow.runtime.network.framing import FrameKind

_PROTOCOL = 5
_FLAT = frozenset({str, int, float, bool, type(None)})
_LONG_STRING = 200


def dump_object(value: Any) -> bytes:
    """Pickle any user value; by cloudpickle when its class is not importable.

    Raises ProgramError when it cannot be pickled at all.
    """
    try:
        return pickle.dumps(value, _PROTOCOL)
    except Exception:  # a record's own __reduce__ may raise anything
        import cloudpickle  # slow to import, and rarely needed here

        try:
            pickled: bytes = cloudpickle.dumps(value, _PROTOCOL)
            return pickled
        except Exception as error:
            raise ProgramError(
                f"a record cannot be sent to another process: {type(error).__name__}: {error}. Emit plain "
                "values, or objects that can be pickled"
            ) from error


def dump_rows(rows: list[Any]) -> bytes:
    """Pickle a list of records, fast when they are flat."""
    if _looks_flat(rows):
        buffer = io.BytesIO()
        pickler = pickle.Pickler(buffer, _PROTOCOL)
        pickler.fast = True
        try:
            pickler.dump(rows)
        except Exception:
            return dump_object(rows)  # some record was not like the others
        return buffer.getvalue()
    return dump_object(rows)


def encode(element: Batch | Element) -> tuple[FrameKind, bytes]:
    """Turn what travels in a channel into the kind and payload of a frame."""
    if isinstance(element, RowBatch):
        if element.timestamps is None:
            return FrameKind.ROWS, dump_rows(element.rows)
        from array import array

        times = array("q", element.timestamps).tobytes()
        return FrameKind.TIMED_ROWS, times + dump_rows(element.rows)
    if isinstance(element, ColumnBatch):
        # pyarrow is loaded already when columns exist.
        from yarnflow.runtime.operators.columns.columnar import to_bytes

        return FrameKind.COLUMNS, to_bytes(element)
    return FrameKind.ELEMENT, pickle.dumps(element, _PROTOCOL)


#: Kind, number of records, payload.
EncodedFrame = tuple[FrameKind, int, bytes]


def encode_frame(element: Batch | Element) -> EncodedFrame:
    """Encode what travels in a channel."""
    kind, payload = encode(element)
    return kind, 0 if isinstance(element, Element) else len(element), payload


def decode(kind: FrameKind, payload: bytes, records: int) -> Batch | Element:
    """Reverse `encode`; `records` is the frame's record count."""
    if kind is FrameKind.ROWS:
        return RowBatch(pickle.loads(payload))
    if kind is FrameKind.TIMED_ROWS:
        from array import array

        times = array("q")
        view = memoryview(payload)
        times.frombytes(view[: 8 * records])
        return RowBatch(pickle.loads(view[8 * records :]), times.tolist())
    if kind is FrameKind.COLUMNS:
        from yarnflow.runtime.operators.columns.columnar import from_bytes

        return from_bytes(payload)
    element: Element = pickle.loads(payload)
    return element


def _looks_flat(rows: list[Any]) -> bool:
    """Whether a first, middle and last record are short strings, numbers, or tuples of such."""
    if not rows:
        return False
    for row in (rows[0], rows[len(rows) // 2], rows[-1]):
        for value in row if row.__class__ is tuple else (row,):
            if value.__class__ not in _FLAT or (value.__class__ is str and len(value) > _LONG_STRING):
                return False
    return True

"""Reads the state in checkpoints and savepoints as Arrow tables, without a cluster.

    from yarnflow.state_reader import open_savepoint, read_state

    savepoint = open_savepoint("hdfs:///savepoints/savepoint-6f3c21-0d2a")
    for operator in savepoint.operators:
        for state in operator.states:
            print(operator.name, state.name, state.kind, state.rows, state.size, state.types())
    table = read_state(savepoint.path, "carriers", "delays")      # pyarrow.Table: key, value
    table.to_pandas()

Columns by kind: `key` and `value` of keyed state (`window` between them if it belongs to windows, in ms since the
epoch), `key` and `time` of timers, `key` and `value` of broadcast state, `value` of list state. Values that were
stored pickled are unpickled and become what Arrow makes of them, if it can. Unpickling runs code: read only
savepoints that you trust, and where the program's modules can be imported.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

import pyarrow as pa

from yarnflow.common.types import Row
from yarnflow.errors import CheckpointError
from yarnflow.functions.windows.window import TimeWindow
from yarnflow.runtime.checkpoint.handles import StateBlock, StateFile, StateKind
from yarnflow.runtime.checkpoint.metadata import OperatorCheckpoint, find_checkpoint
from yarnflow.runtime.state.arrow_format import PICKLED, Encoding, encoding_of
from yarnflow.runtime.state.pickling import dump_all
from yarnflow.runtime.state.reader import read_block, read_schema

logger = logging.getLogger(__name__)

__all__ = ["OperatorInfo", "Savepoint", "StateInfo", "open_savepoint", "read_state"]

#: What operator states are called; keyed ones say themselves what they are ("value", "map", ...).
_KINDS = {
    StateKind.KEYED: "table",
    StateKind.TIMERS: "timers",
    StateKind.SPLIT: "list",
    StateKind.UNION: "union list",
    StateKind.BROADCAST: "broadcast",
    StateKind.CHANNEL: "records in flight",
}

#: Column as it is stored -> as it is shown.
_SHOWN = {"namespace": "window"}


@dataclass(frozen=True)
class StateInfo:
    """One named state of an operator.

    Attributes:
        name: of the descriptor, or of the operator's own table.
        kind: "value", "list", "map", "reducing", "aggregating"; "table" and "timers" of operators themselves;
            "list", "union list" and "broadcast" of operator state; "records in flight" of unaligned checkpoints.
        keyed: whether it belongs to keys.
        rows: keys (per window), timers or items, over all subtasks.
        size: bytes of its Arrow streams.
        declared: the type that the program declared, "" if none is known.
        time_to_live: ms, or None.
    """

    name: str
    kind: str
    keyed: bool
    rows: int
    size: int
    declared: str
    time_to_live: int | None
    _blocks: tuple[StateBlock, ...] = field(repr=False)
    _directory: str = field(repr=False)

    def types(self) -> dict[str, str]:
        """Column -> Arrow type as it is stored, "pickled" for what is not. Reads a few bytes of a file.

        Raises CheckpointCorruptedError when the file is missing.
        """
        schema = read_schema(self._blocks[0], self._directory)
        return {
            _shown(column.name, self._blocks[0].kind): "pickled"
            if encoding_of(column) == PICKLED
            else str(column.type)
            for column in schema
        }

    def read(self, as_text: bool = False, rows: int | None = None) -> pa.Table:
        """The state as a table, or only its first `rows`. `as_text` and errors as in `read_state`."""
        batches: list[pa.RecordBatch] = []
        for batch in (part.batch for block in self._blocks for part in read_block(block, self._directory)):
            batches.append(batch if rows is None else batch.slice(0, rows))
            if rows is not None and (rows := rows - len(batch)) <= 0:
                break
        parts: dict[str, list[tuple[Encoding, pa.Array]]] = {}
        for name in max((batch.schema.names for batch in batches), key=len, default=[]):
            for batch in batches:
                index = batch.schema.get_field_index(name)
                if index < 0:  # some of the keys belong to no window
                    parts.setdefault(name, []).append((PICKLED, PICKLED.encode([None] * len(batch))))
                else:
                    column = batch.column(index)
                    parts.setdefault(name, []).append((encoding_of(batch.schema.field(index)), column))
        kind = self._blocks[0].kind
        columns = {}
        for name, found in parts.items():
            stamped = self.time_to_live is not None and name == "value"
            columns[_shown(name, kind)] = self._column(found, stamped, as_text)
        return pa.table(columns)

    def _column(self, found: list[tuple[Encoding, pa.Array]], stamped: bool, as_text: bool) -> pa.ChunkedArray:
        encodings = {encoding for encoding, _ in found}
        if len(encodings) == 1 and encodings != {PICKLED} and not stamped:
            return pa.chunked_array([array for _, array in found])
        try:
            values = [value for encoding, array in found for value in encoding.decode(array)]
        except (ImportError, AttributeError) as error:
            # A class that is not here.
            if encodings != {PICKLED}:
                raise CheckpointError(
                    f"state {self.name!r} holds objects whose class cannot be imported: {error}. Read it where "
                    "the program's modules are on the path"
                ) from error
            return pa.chunked_array([array for _, array in found])
        if stamped:
            values = [_without_times(value, self.kind) for value in values]
        return pa.chunked_array([_natural(values, as_text)])


@dataclass(frozen=True)
class OperatorInfo:
    """One operator.

    Attributes:
        operator_id: 32 hex digits.
        uid: as the program gave it, or None.
        name: as shown.
        parallelism: when the savepoint was taken.
        max_parallelism: number of key groups.
        states: what is stored as Arrow.
        native_files: files in the form of a state backend, as checkpoints of rocksdb have: `native_states`.
        size: bytes of all state.
    """

    operator_id: str
    uid: str | None
    name: str
    parallelism: int
    max_parallelism: int
    states: tuple[StateInfo, ...]
    native_files: int
    size: int
    _native: tuple[tuple[StateFile, ...], ...] = field(repr=False)
    _directory: str = field(repr=False)

    def state(self, name: str) -> StateInfo:
        """The state of that name; native ones are read for it.

        Raises CheckpointError, naming those there are, when there is none; else as `native_states`.
        """
        found = [state for state in self.states if state.name == name]
        own = [state for state in found if state.kind not in ("timers", "records in flight")]
        found = own or list(self.native_states(name)) or found
        if found:
            return found[0]
        known = ", ".join(repr(state.name) for state in (*self.states, *self.native_states()))
        raise CheckpointError(f"{self.name!r} has no state {name!r}; it has {known}")

    def native_states(self, name: str | None = None) -> tuple[StateInfo, ...]:
        """States in the form of a state backend: downloads all of its files, opens them, and takes what is wanted
        into memory.

        Args:
            name: of the only one that is wanted; None for all.

        Raises:
            CheckpointCorruptedError: a file is missing or damaged; names it.
            MissingDependencyError: yarnflow[rocksdb] is not installed.
        """
        if not self._native:
            return ()
        # An optional package, and only such checkpoints need it.
        from yarnflow.runtime.state.rocksdb.blocks import blocks_of_database

        by_state: dict[str, list[StateBlock]] = {}
        for files in self._native:
            for block in blocks_of_database(files, self._directory, name):
                by_state.setdefault(block.name, []).append(block)
        return tuple(_state(blocks, self._directory) for blocks in by_state.values())


@dataclass(frozen=True)
class Savepoint:
    """A savepoint or checkpoint.

    Attributes:
        path: URI of its directory.
        checkpoint_id: its number.
        job_id: of the job that took it.
        timestamp: when it was triggered, ms since the epoch.
        savepoint: False for a checkpoint.
        operators: of the whole job, also those without state.
        size: bytes of all state.
    """

    path: str
    checkpoint_id: int
    job_id: str
    timestamp: int
    savepoint: bool
    operators: tuple[OperatorInfo, ...]
    size: int

    def operator(self, name: str) -> OperatorInfo:
        """The operator with that uid, id or name. Raises CheckpointError when there is none, or there are several
        of that name."""
        for by in ("uid", "operator_id", "name"):
            found = [operator for operator in self.operators if getattr(operator, by) == name]
            if len(found) == 1:
                return found[0]
            if found:
                ids = ", ".join(operator.operator_id for operator in found)
                raise CheckpointError(
                    f"{self.path} has several operators named {name!r}: use one of the ids {ids}"
                )
        known = ", ".join(repr(each.uid or each.name) for each in self.operators if each.size)
        raise CheckpointError(f"{self.path} has no operator {name!r}; operators with state are {known}")


def open_savepoint(path: str) -> Savepoint:
    """Read what a savepoint or checkpoint consists of. State itself is not read.

    Args:
        path: URI or path of its directory, or of the file `_metadata` in it; of a job's directory of checkpoints
            the newest readable one is taken, as by `run -s`.

    Raises:
        RestoreError: there is none.
        CheckpointCorruptedError: its metadata is damaged.
        FileSystemError: the file system cannot be reached, or refuses.
    """
    found, passed_over = find_checkpoint(path)
    for reason in passed_over:
        logger.warning("%s; an earlier one is read: %s", reason, found.shown)
    return Savepoint(
        found.directory,
        found.checkpoint_id,
        found.job_id,
        found.timestamp,
        found.savepoint,
        tuple(_operator(operator, found.directory) for operator in found.operators),
        found.size,
    )


def read_state(path: str, operator: str, state: str, as_text: bool = False) -> pa.Table:
    """Read one state of all subtasks as a table; see the module's docstring for its columns.

    Args:
        path: of the savepoint or checkpoint, as for `open_savepoint`.
        operator: its uid, id, or name.
        state: name of the state.
        as_text: give values that have no Arrow type as their `repr` instead of as pickles (the field's metadata
            then says "pickle").

    Raises:
        CheckpointError: no such savepoint, operator or state, or its objects cannot be unpickled here.
        CheckpointCorruptedError: a file is missing or damaged; names it.
        FileSystemError: the file system cannot be reached, or refuses.
    """
    return open_savepoint(path).operator(operator).state(state).read(as_text)


def _operator(operator: OperatorCheckpoint, directory: str) -> OperatorInfo:
    by_state: dict[tuple[str, StateKind], list[StateBlock]] = {}
    native = []
    for _, stored in sorted(operator.subtasks.items()):
        if stored.files:
            native.append(stored.files)
        for block in stored.blocks:
            by_state.setdefault((block.name, block.kind), []).append(block)
    return OperatorInfo(
        operator.operator_id,
        operator.uid,
        operator.name,
        operator.parallelism,
        operator.max_parallelism,
        tuple(_state(blocks, directory) for blocks in by_state.values()),
        sum(map(len, native)),
        operator.size,
        tuple(native),
        directory,
    )


def _state(blocks: Sequence[StateBlock], directory: str) -> StateInfo:
    first = blocks[0]
    stored = first.details.get("state", "") if first.kind is StateKind.KEYED else ""
    ttl = first.details.get("ttl")
    return StateInfo(
        first.name,
        stored or _KINDS[first.kind],
        first.kind in (StateKind.KEYED, StateKind.TIMERS),
        # Every subtask has stored all of a broadcast state.
        first.rows if first.kind is StateKind.BROADCAST else sum(block.rows for block in blocks),
        sum(block.size for block in blocks),
        first.details.get("type", ""),
        None if ttl is None else int(ttl),
        (first,) if first.kind is StateKind.BROADCAST else tuple(blocks),
        directory,
    )


def _shown(column: str, kind: StateKind) -> str:
    if kind is StateKind.TIMERS and column == "value":
        return "time"
    return _SHOWN.get(column, column)


def _without_times(stored: Any, kind: str) -> Any:
    """A stored value without the times of its last use (runtime/state/ttl.py)."""
    if kind == "list":
        return [value for value, _ in stored]
    if kind == "map":
        return {key: value for key, (value, _) in stored.items()}
    return stored[0]


def _natural(values: list[Any], as_text: bool) -> pa.Array:
    try:
        return pa.array([_plain(value) for value in values])
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError, UnicodeEncodeError):
        if as_text:
            return pa.array([repr(value) for value in values], pa.large_string())
        return pa.array(dump_all(values), pa.large_binary())


def _plain(value: Any) -> Any:
    """Rows, tuples and dataclasses as what Arrow knows: structs when they have names, else lists."""
    kind = type(value)
    if is_dataclass(kind):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(kind)}
    if isinstance(value, tuple) and hasattr(kind, "_fields"):
        return {name: _plain(item) for name, item in zip(kind._fields, value, strict=True)}
    if kind is TimeWindow:
        return {"start": value.start, "end": value.end}
    if kind is Row:
        return value.as_dict(recursive=True) if value._fields is not None else [_plain(item) for item in value]
    if kind in (list, tuple, set, frozenset):
        return [_plain(item) for item in value]
    if kind is dict:
        if all(type(key) is str for key in value):
            return {key: _plain(item) for key, item in value.items()}
        return [(_plain(key), _plain(item)) for key, item in value.items()]
    return value

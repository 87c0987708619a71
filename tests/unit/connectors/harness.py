"""Reads sources and writes sinks without a task."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

from yarnflow.functions.batch import Batch, ColumnBatch
from yarnflow.functions.columns import to_rows
from yarnflow.functions.sink import Sink, SinkWriter, WriterContext
from yarnflow.functions.source import Availability, Source, Split


def read_batches(source: Source, split: Split) -> list[Batch]:
    """All batches of one split."""
    reader = source.open(split)
    found: list[Batch] = []
    try:
        while (result := reader.poll()) is not Availability.END_OF_SPLIT:
            assert not isinstance(result, Availability)
            found.append(result)
    finally:
        reader.close()
    return found


def read_all(source: Source, parallelism: int = 1, emit_columns: bool = False) -> list[Any]:
    """All records of all splits, in the order of splits, as a worker would read them."""
    source = pickle.loads(pickle.dumps(source))
    source.emit_columns = emit_columns
    batches = [batch for split in source.splits(parallelism) for batch in read_batches(source, split)]
    assert all(isinstance(batch, ColumnBatch) for batch in batches) or not emit_columns
    return [row for batch in batches for row in to_rows(batch).rows]


def check_positions(source: Source, split: Split, emit_columns: bool) -> None:
    """A reader opened at the position after any batch reads exactly the rest."""
    source.emit_columns = emit_columns
    everything = [row for batch in read_batches(source, split) for row in to_rows(batch).rows]
    reader = source.open(split)
    seen = 0
    try:
        while True:
            position = pickle.loads(pickle.dumps(reader.split()))
            rest = [row for batch in read_batches(source, position) for row in to_rows(batch).rows]
            assert rest == everything[seen:]
            result = reader.poll()
            if isinstance(result, Availability):
                break
            seen += len(result)
    finally:
        reader.close()
    assert seen == len(everything)


def context(
    subtask: int = 0,
    attempt: int = 0,
    job: str = "a" * 32,
    operator: str = "b" * 32,
    checkpointing: bool = False,
    checkpoint_id: int = 0,
) -> WriterContext:
    """Where a writer runs."""
    return WriterContext(job, subtask, 2, attempt, operator, checkpointing, checkpoint_id)


def visible(folder: Path) -> list[Path]:
    """Files that readers do not skip, sorted."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith((".", "_")))


def all_files(folder: Path) -> list[Path]:
    """Every file, hidden ones included."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def finish(sink: Sink, writer: SinkWriter) -> None:
    """The end of the input in a job without checkpoints, as operators/sink.py does it."""
    writer.finish()
    committer = sink.committer(context())
    if committer is not None:
        committer.commit(writer.prepare_commit())
        committer.close()

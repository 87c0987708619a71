"""The part files of one subtask of a FileSink, and their publication. Names and guarantees: file_sink.py."""

from __future__ import annotations

import hashlib
import posixpath
import re
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import BinaryIO

from yarnflow import fs
from yarnflow.errors import FileAlreadyExistsError, FileMissingError, FileSystemError
from yarnflow.fs import FileSystem
from yarnflow.functions.batch import Batch
from yarnflow.functions.connectors.file_sink_config import BucketAssigner, OutputFileConfig, RollingPolicy
from yarnflow.functions.connectors.writer_factories import BulkWriterFactory
from yarnflow.functions.sink import Committer, SinkWriter, WriterContext


@dataclass(frozen=True)
class PendingFile:
    """A complete file that is not visible yet.

    Attributes:
        temporary: URI it has.
        final: URI it gets.
        replace: an earlier attempt may have published the name: that file goes.
    """

    temporary: str
    final: str
    replace: bool


class FileCommitter(Committer):
    """Publishes pending files by rename."""

    def commit(self, committables: Sequence[PendingFile]) -> None:
        for item in committables:
            system, temporary = fs.get(item.temporary)
            _, final = fs.get(item.final)
            try:
                system.publish(temporary, final, overwrite=item.replace)
            except FileMissingError:
                # Committed before, unless somebody has removed it.
                if not system.exists(final):
                    raise FileSystemError(
                        f"{item.temporary} is gone before it could be published as {item.final}: its records are "
                        "part of the checkpoint and now lost. Were hidden files in the sink's directory deleted?"
                    ) from None
            except FileAlreadyExistsError:
                # A store without rename may have been interrupted between the copy and the deletion.
                system.delete(temporary)


class _Part:
    """A part file that is being written."""

    def __init__(self, stream: BinaryIO, tmp: str, final: str, factory: BulkWriterFactory, now: float) -> None:
        self.stream = stream
        self.tmp = tmp
        self.final = final
        self.created = now
        self.last_written = now
        self.writer = factory.open(stream)

    def complete(self) -> None:
        """Write the rest and close the file."""
        self.writer.finish()
        self.stream.close()


class FileSinkWriter(SinkWriter):
    """Writes part files; every `prepare_commit` completes the open ones.

    Args:
        base_path: URI of the directory.
        factory: makes the writers of files.
        assigner: names the bucket.
        rolling: says when a file is large or old enough.
        names: prefix and suffix.
        context: where the writer runs.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        base_path: str,
        factory: BulkWriterFactory,
        assigner: BucketAssigner,
        rolling: RollingPolicy,
        names: OutputFileConfig,
        context: WriterContext,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._factory = factory
        self._assigner = assigner
        self._rolling = rolling
        self._names = names
        self._context = context
        self._clock = clock
        system, base = fs.get(base_path)
        self._fs: FileSystem = system
        self._base = base
        identity = hashlib.sha256(f"{context.job_id}/{context.operator_id}".encode()).hexdigest()[:16]
        self._uid = uuid.uuid4().hex[:16] if context.checkpointing else identity
        self._published = re.compile(
            rf"{re.escape(names.part_prefix)}-{identity}(?:\.(\d+))?-{context.subtask_index}-\d"
        )
        #: Tells the hidden files of this subtask and of its earlier attempts from all others.
        self._owner = f"{identity}-{context.subtask_index}"
        self._checkpoint_id = context.checkpoint_id
        self._count = 0
        self._open: dict[str, _Part] = {}
        #: Complete, and not yet handed out by `prepare_commit`.
        self._pending: list[_Part] = []
        self._used: set[str] = set()

    def write(self, batch: Batch) -> None:
        now = self._clock()
        bucket = self._assigner.bucket_id(now)
        self._roll(now)
        part = self._open.get(bucket)
        if part is None:
            part = self._open[bucket] = self._new_part(bucket, now)
        part.writer.write(batch)
        part.last_written = now
        self._roll(now)

    def flush(self) -> None:
        self._roll(self._clock())

    def prepare_commit(self) -> Sequence[PendingFile]:
        self._complete_all()
        prepared, self._pending = self._pending, []
        replace = not self._context.checkpointing
        return [PendingFile(self._fs.uri(part.tmp), self._fs.uri(part.final), replace) for part in prepared]

    def snapshot_state(self, checkpoint_id: int) -> Sequence[object]:
        self._checkpoint_id = checkpoint_id
        return ()

    def finish(self) -> None:
        self._complete_all()
        if self._context.attempt > 0:
            self._remove_leftovers()

    def close(self) -> None:
        parts = list(self._open.values())
        self._open.clear()
        with ExitStack() as stack:  # go on when one step raises
            for part in [*parts, *self._pending]:
                stack.callback(self._fs.delete, part.tmp)
            for part in parts:
                stack.callback(part.stream.close)
                stack.callback(part.writer.abort)
        self._pending.clear()

    def _new_part(self, bucket: str, now: float) -> _Part:
        uid = self._uid
        if self._checkpoint_id and not self._context.checkpointing:
            # A successor that starts from there must not take the names of what came before.
            uid += f".{self._checkpoint_id}"
        names, subtask = self._names, self._context.subtask_index
        name = f"{names.part_prefix}-{uid}-{subtask}-{self._count}{names.part_suffix}"
        self._count += 1
        directory = posixpath.join(self._base, bucket) if bucket else self._base
        # The checkpoint tells which hidden files a later attempt may remove.
        mark = f"{self._owner}.{self._checkpoint_id}.{self._context.attempt}"
        tmp = posixpath.join(directory, f".{name}.inprogress.{mark}")
        final = posixpath.join(directory, name)
        stream = self._fs.open_write(tmp, overwrite=True)
        self._used.update((tmp, final))
        try:
            return _Part(stream, tmp, final, self._factory, now)
        except BaseException:
            stream.close()
            self._fs.delete(tmp)
            raise

    def _roll(self, now: float) -> None:
        """Complete the parts that the policy wants closed."""
        for bucket, part in list(self._open.items()):
            if self._rolling.should_roll(part.writer.size(), part.created, part.last_written, now):
                self._complete(bucket)

    def _complete(self, bucket: str) -> None:
        part = self._open[bucket]
        part.complete()
        del self._open[bucket]
        self._pending.append(part)

    def _complete_all(self) -> None:
        for bucket in list(self._open):
            self._complete(bucket)

    def _remove_leftovers(self) -> None:
        """Delete what earlier attempts of this writer left and nobody will publish."""
        if self._fs.status(self._base) is None:
            return
        for status in self._fs.list(self._base, recursive=True):
            if not status.is_directory and status.path not in self._used and self._is_leftover(status.name):
                self._fs.delete(status.path)

    def _is_leftover(self, name: str) -> bool:
        _, separator, mark = name.rpartition(".inprogress.")
        if not separator:
            # Without checkpoints an earlier attempt may have published more parts than this one.
            match = None if self._context.checkpointing else self._published.match(name)
            return match is not None and int(match[1] or 0) >= self._context.checkpoint_id
        owner, _, numbers = mark.partition(".")
        if owner != self._owner:
            return False
        # What was begun before the restored checkpoint belongs to it or to an earlier one.
        checkpoint, _, attempt = numbers.partition(".")
        return int(checkpoint) >= self._context.checkpoint_id and int(attempt) < self._context.attempt

"""The asynchronous part of a checkpoint: writes a TaskSnapshot without holding up the records for long.

`begin_write` picks the cheapest way that does not see later changes (docs/adr/0007-asynchronous-snapshots.md has
figures):

    at once     up to 20,000 entries, as long as it takes at most 10 ms
    by copies   what is copied faster than a process is forked: arrays, lists of numbers and strings
    by a fork   everything else: a child process writes what it sees, which is the memory of this moment

Databases are read by a thread, from a snapshot of their own. The thread also uploads what cannot be written in
place. Importing this module loads pyarrow, which takes a while: do so before the first checkpoint.
"""

from __future__ import annotations

import io
import os
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import NoReturn

from yarnflow.errors import CheckpointError, ProgramError, UnstorableStateError
from yarnflow.runtime.checkpoint.handles import CheckpointPlan, OperatorState, StateBlock, StateFile
from yarnflow.runtime.state.forked_writer import Child, fork_writer
from yarnflow.runtime.state.snapshot import ATOMS, FilesPart, KeyedPart, ListPart, TaskSnapshot
from yarnflow.runtime.state.snapshot_target import Later, Target, inlined
from yarnflow.runtime.state.writer import Written, write_parts

#: Entries that are tried at once, and for how long (seconds).
AT_ONCE = 20_000
AT_ONCE_SECONDS = 0.010


class WriteAbortedError(CheckpointError):
    """`abort` was called before everything was written."""


@dataclass(frozen=True)
class WrittenState:
    """What was stored.

    Attributes:
        operators: those that have state.
        uploaded: bytes written for this checkpoint.
    """

    operators: tuple[OperatorState, ...] = ()
    uploaded: int = 0


class PendingWrite:
    """A snapshot on its way. All methods are for the worker's thread.

    Args:
        job: what a thread shall do; None when there is only `written`.
        written: the result when there is no job.
        files: to be released when all is over.
        child: process that `abort` kills, or None.
    """

    def __init__(
        self,
        job: Callable[[Callable[[], None]], WrittenState] | None,
        written: WrittenState | None = None,
        files: Iterable[FilesPart] = (),
        child: Child | None = None,
    ) -> None:
        self._job = job
        self._written = written
        self._files = list(files)
        self._child = child
        self._error: BaseException | None = None
        self._aborted = threading.Event()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._readable: int | None = None
        if job is None:
            self._ended.set()
            return
        self._readable, self._signal = os.pipe()
        # A daemon: a worker that ends does not wait for an upload.
        self._thread = threading.Thread(target=self._run, name="checkpoint-writer", daemon=True)
        self._thread.start()

    def fileno(self) -> int | None:
        """Becomes readable when the write has ended; None when it has ended already. Valid until `result`."""
        return self._readable

    def done(self) -> bool:
        """Whether it has ended, well or not."""
        return self._ended.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it has ended, at most `timeout` seconds; says whether it has."""
        return self._ended.wait(timeout)

    def result(self) -> WrittenState:
        """What was stored. To be called once `done`, also after `abort`: it releases files.

        Raises CheckpointError when it could not be stored; then nothing is left of it.
        """
        self._ended.wait()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._readable is not None:
            os.close(self._readable)
            self._readable = None
        files, self._files = self._files, []
        for part in files:
            part.release()
        if self._error is not None:
            raise self._error
        assert self._written is not None
        return self._written

    def abort(self) -> None:
        """Stop soon. It still has to be waited for until it is done, and `result` then raises WriteAbortedError,
        unless all was written before."""
        self._aborted.set()
        if self._child is not None:
            self._child.kill()

    def _run(self) -> None:
        assert self._job is not None
        try:
            self._written = self._job(self._check)
        except BaseException as error:  # whatever it is, it belongs to this checkpoint and not to the worker
            self._error = WriteAbortedError("the checkpoint was aborted") if self._aborted.is_set() else error
        finally:
            self._job = None  # copies of state
            self._ended.set()
            os.write(self._signal, b".")
            os.close(self._signal)

    def _check(self) -> None:
        if self._aborted.is_set():
            raise WriteAbortedError("the checkpoint was aborted")


def begin_write(snapshot: TaskSnapshot, directory: str, name: str, plan: CheckpointPlan) -> PendingWrite:
    """Start to write. Never raises: what goes wrong is told by `PendingWrite.result`.

    Args:
        snapshot: just taken; must be written before the next record is processed, or copied, or forked.
        directory: URI of the checkpoint's directory; "" when state must travel inline.
        name: of the file in it, unique in the job: "<vertex>-<subtask>".
        plan: how large state may be that travels inline, and where shared files go.
    """
    target = Target(directory, name, plan)
    try:
        return _begin(snapshot, target)
    except Exception as error:  # of a value's own __reduce__, of fork, ...
        target.clean_up()
        failure = _explained(error, target)

        def fail(check: Callable[[], None]) -> NoReturn:
            raise failure

        return PendingWrite(fail, files=snapshot.files)


def _begin(snapshot: TaskSnapshot, target: Target) -> PendingWrite:
    databases = [part for part in snapshot.keyed if part.database]
    memory = [part for part in snapshot.keyed if not part.database]
    later = Later(snapshot, [_frozen(part) for part in databases])
    data: bytes | None = None
    written: list[Written] = []
    child = None
    entries = sum(part.entries for part in memory) + sum(len(part.items) for part in snapshot.lists)
    if not entries:
        data = b""
    elif entries <= AT_ONCE:
        data, written = _at_once(memory, snapshot)
    if data is None:
        copies = _copies(memory, snapshot.lists)
        if copies is not None:
            later.keyed += copies
            later.lists += snapshot.lists
        else:
            child = fork_writer(target.local_file(), memory, snapshot)
    elif not later.needed:
        if len(data) <= target.inline_limit:
            return PendingWrite(None, WrittenState(_operators(inlined(written, data), {}), len(data)))
        target.check_size(len(data))

    def job(check: Callable[[], None]) -> WrittenState:
        try:
            return _finish(target, data, written, child, later, check)
        except Exception as error:
            target.clean_up()
            raise _explained(error, target) from error
        finally:
            if child is not None:
                child.reap()

    return PendingWrite(job, files=snapshot.files, child=child)


def _finish(
    target: Target,
    data: bytes | None,
    written: list[Written],
    child: Child | None,
    later: Later,
    check: Callable[[], None],
) -> WrittenState:
    """The thread's work."""
    if child is not None:
        written = child.result()
        check()
    blocks, size = target.store_blocks(data, written, None if child is None else child.file, later, check)
    files = {
        part.operator_id: list(part.upload(target.storing(part.operator_id, later.snapshot, check)))
        for part in later.snapshot.files
    }
    return WrittenState(_operators(blocks, files), size + target.uploaded)


def _at_once(memory: list[KeyedPart], snapshot: TaskSnapshot) -> tuple[bytes | None, list[Written]]:
    """The bytes, or None when that takes too long."""
    deadline = time.monotonic() + AT_ONCE_SECONDS

    def check() -> None:
        if time.monotonic() > deadline:
            raise TimeoutError

    buffer = io.BytesIO()
    try:
        written = write_parts(memory, snapshot.lists, snapshot.key_groups, buffer, check=check)
    except TimeoutError:
        return None, []
    return buffer.getvalue(), written


def _copies(memory: list[KeyedPart], lists: list[ListPart]) -> list[KeyedPart] | None:
    """The parts with readers of copies; None when some are not cheap to copy or may change."""
    if any(part.freeze is None for part in memory):
        return None
    if not all(ATOMS.issuperset(map(type, part.items)) for part in lists):
        return None
    return [_frozen(part) for part in memory]


def _frozen(part: KeyedPart) -> KeyedPart:
    assert part.freeze is not None, "a database gives a reader for other threads"
    return replace(part, chunks=part.freeze())


def _operators(written: list[Written], files: dict[str, list[StateFile]]) -> tuple[OperatorState, ...]:
    blocks: dict[str, list[StateBlock]] = {operator_id: [] for operator_id in files}
    for operator_id, block in written:
        blocks.setdefault(operator_id, []).append(block)
    return tuple(
        OperatorState(operator_id, tuple(found), tuple(files.get(operator_id, ())))
        for operator_id, found in blocks.items()
        if found or files.get(operator_id)
    )


def _explained(error: Exception, target: Target) -> CheckpointError:
    if isinstance(error, CheckpointError):
        return error
    where = f" in {target.directory}" if target.directory else ""
    kind = UnstorableStateError if isinstance(error, ProgramError) else CheckpointError
    return kind(f"the state of {target.name} cannot be stored{where}: {type(error).__name__}: {error}")

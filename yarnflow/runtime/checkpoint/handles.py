"""What a checkpoint consists of: records of where state lies. Plain data, shared by workers and JobManager.

    SubtaskState      everything one subtask stored for one checkpoint
      OperatorState   the part of one of its operators
        StateBlock    one named state: an Arrow IPC stream in a file, or inline when it is small
        StateFile     a file of a state backend's own format (rocksdb), kept as it is

A subtask writes its blocks into one file. What the JobManager gives back to a restarting subtask is a
TaskRestore, which may hold blocks of several former subtasks when the parallelism has changed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class StateKind(Enum):
    """How a block is given to subtasks when it is restored.

    KEYED, TIMERS   rows carry a key group; a subtask takes those of its own groups
    SPLIT           items of operator list state, dealt out again
    UNION           items of operator list state; every subtask gets all items of all subtasks
    BROADCAST       the same everywhere; every subtask gets one copy
    CHANNEL         records that an unaligned barrier overtook
    """

    KEYED = "keyed"
    TIMERS = "timers"
    SPLIT = "split"
    UNION = "union"
    BROADCAST = "broadcast"
    CHANNEL = "channel"


#: The state of watermark strategies in the middle of a stream. An operator that has nothing else may leave the
#: program: the next strategy makes event time anew.
EVENT_TIME = "assigned-event-time"


@dataclass(frozen=True)
class StateBlock:
    """One named state of one operator and subtask.

    Attributes:
        name: of the state.
        kind: how it is restored.
        rows: entries or items.
        size: bytes of the Arrow IPC stream.
        checksum: zlib.crc32 of these bytes.
        key_groups: first and last key group that may occur, for KEYED and TIMERS.
        path: URI of the file, relative to the directory of the checkpoint's metadata when it has no scheme;
            "" when `data` holds the stream.
        offset: where the stream begins in the file.
        data: the stream itself, when small.
        details: what is shown and needed to read it (descriptor kind, type names).
    """

    name: str
    kind: StateKind
    rows: int
    size: int
    checksum: int
    key_groups: tuple[int, int] | None = None
    path: str = ""
    offset: int = 0
    data: bytes = field(default=b"", repr=False)
    details: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class StateFile:
    """A file of a backend's own format.

    Attributes:
        name: as the backend knows it ("000012.sst").
        path: URI; as in StateBlock.
        size: bytes.
        checksum: zlib.crc32 of the file.
        shared: belongs to several checkpoints; lies in the job's `shared` directory and is deleted when no
            retained checkpoint names it.
        key_groups: of the subtask that wrote it.
    """

    name: str
    path: str
    size: int
    checksum: int
    shared: bool
    key_groups: tuple[int, int]


@dataclass(frozen=True)
class OperatorState:
    """What one operator of one subtask stored. `files` together are one instance of the backend's storage."""

    operator_id: str
    blocks: tuple[StateBlock, ...] = ()
    files: tuple[StateFile, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of everything, also of what was uploaded for an earlier checkpoint."""
        return sum(block.size for block in self.blocks) + sum(item.size for item in self.files)


@dataclass(frozen=True)
class SubtaskState:
    """What one subtask stored.

    Attributes:
        operators: those that have state.
        ended: the subtask had read all of its input; after a restore it must not end its operators again.
        uploaded: bytes written for this checkpoint.
    """

    operators: tuple[OperatorState, ...] = ()
    ended: bool = False
    uploaded: int = 0


@dataclass(frozen=True)
class OperatorRestore:
    """State of one operator for one new subtask.

    Attributes:
        parallelism: of the operator when the checkpoint was taken.
        states: former subtask index -> what it stored. Keyed blocks and files that cannot concern the new
            subtask are left out; all others are there, and the subtask takes its part.
    """

    parallelism: int
    states: dict[int, OperatorState]


@dataclass(frozen=True)
class TaskRestore:
    """What a subtask starts from.

    Attributes:
        checkpoint_id: the restored one.
        directory: URI of the directory that relative paths start from.
        operators: by operator id.
        ended: all former subtasks had read their whole input.
    """

    checkpoint_id: int
    directory: str
    operators: dict[str, OperatorRestore]
    ended: bool = False


@dataclass(frozen=True)
class CheckpointPlan:
    """What tasks must know about checkpoints before the first one.

    Attributes:
        periodic: checkpoints are taken by themselves: a task that has ended its input waits for one more
            before it is FINISHED, so that sinks can commit.
        exactly_once: align barriers; else records after a barrier may pass before others have come.
        shared_directory: URI where files of incremental checkpoints lie; "" when there is no directory.
        inline_bytes: a subtask's state up to this size travels in its acknowledgement instead of a file.
        max_inline_bytes: bound of that when there is no directory to write to; beyond, the checkpoint is declined.
    """

    periodic: bool
    exactly_once: bool
    shared_directory: str
    inline_bytes: int
    max_inline_bytes: int

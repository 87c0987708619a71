"""Messages to bytes and back, for channels that leave the process.

A frame is the pickle of (leader's epoch, message). Reading goes through an unpickler that knows the classes
of messages.py and nothing else, so even a peer that knows the cluster's secret cannot make this process
import or call anything; and no frame is opened before the peer has proved that it knows the secret.
"""

from __future__ import annotations

import io
import pickle
from dataclasses import is_dataclass
from enum import Enum
from typing import Any

from yarnflow.errors import ProtocolError
from yarnflow.graph.job_graph import Artifact, ArtifactKind, Exchange, Partitioning
from yarnflow.runtime.checkpoint import handles
from yarnflow.runtime.rpc import checkpoint_messages, messages
from yarnflow.runtime.rpc.messages import Message
from yarnflow.runtime.states import ExecutionState


def _known_classes() -> dict[tuple[str, str], type]:
    classes: list[type] = [Artifact, ArtifactKind, Exchange, Partitioning, ExecutionState]
    for module in (messages, checkpoint_messages, handles):
        for value in vars(module).values():
            if isinstance(value, type) and (is_dataclass(value) or issubclass(value, Enum)):
                classes.append(value)
    return {(kind.__module__, kind.__qualname__): kind for kind in classes}


_KNOWN = _known_classes()


def _member(kind: object, name: object) -> Enum:
    """The member of an enumeration; what stands for `getattr` in frames."""
    if isinstance(kind, type) and issubclass(kind, Enum) and isinstance(name, str):
        return kind[name]
    raise ProtocolError(f"a message asked for {name!r} of {kind!r}, which is no enumeration")


class _MessageUnpickler(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str) -> Any:
        if (module_name, global_name) == ("builtins", "getattr"):
            # Python 3.11.0 to 3.11.3 (Debian 12's) pickle an enumeration's member as getattr(class, name).
            return _member
        try:
            return _KNOWN[module_name, global_name]
        except KeyError:
            raise ProtocolError(f"a message contained {module_name}.{global_name}, which is not one") from None


def encode(epoch: int, message: Message) -> bytes:
    """The frame that carries `message` under the leader's `epoch`."""
    return pickle.dumps((epoch, message), protocol=5)


def decode(frame: bytes) -> tuple[int, Message]:
    """The epoch and message of a frame. Raises ProtocolError for anything else."""
    envelope = _load(frame)
    if (
        not isinstance(envelope, tuple)
        or len(envelope) != 2
        or not isinstance(envelope[0], int)
        or not isinstance(envelope[1], Message)
    ):
        raise ProtocolError(f"a frame of {len(frame)} bytes is not a message")
    return envelope


def decode_message(frame: bytes) -> Message:
    """The message that a slot worker pickled. Raises ProtocolError for anything else."""
    message = _load(frame)
    if not isinstance(message, Message):
        raise ProtocolError(f"a frame of {len(frame)} bytes is not a message")
    return message


def _load(frame: bytes) -> Any:
    try:
        return _MessageUnpickler(io.BytesIO(frame)).load()
    except ProtocolError:
        raise
    except Exception as error:
        # A damaged pickle raises nearly anything (EOFError, KeyError, UnicodeDecodeError, ...).
        raise ProtocolError(f"a frame of {len(frame)} bytes is not a message: {error}") from error

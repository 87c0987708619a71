"""Turns what a task raised into what the user is shown: the operator, the record, the user's own frames.

Nothing is recorded while all goes well; the frames of the traceback tell everything afterwards. Generated
code (chain_compiler.py) knows the operator of each of its lines; an operator with a loop of its own is the
`self` of a frame, and its local `record` is what it worked on.
"""

from __future__ import annotations

import os
import re
import traceback
from collections.abc import Callable, Sequence
from typing import Any

import yarnflow
from yarnflow.errors import YarnflowError
from yarnflow.runtime.network.partition import HashPartition
from yarnflow.runtime.operators.base import StreamOperator
from yarnflow.runtime.operators.fused import FusedOperator
from yarnflow.runtime.operators.keyed import shorten
from yarnflow.runtime.rpc.messages import TaskFailure
from yarnflow.runtime.taskmanager.chain_compiler import GENERATED, operator_at

_OWN = os.path.dirname(os.path.abspath(yarnflow.__file__)) + os.sep
_PYTHON = os.path.dirname(os.path.abspath(os.__file__)) + os.sep
_UNKNOWN: Any = object()

_CAUSED = "\nThe above exception was the direct cause of the following exception:\n\n"
_DURING = "\nDuring handling of the above exception, another exception occurred:\n\n"

#: What Python says of a function that does not take the arguments it is called with, and of a key that can change.
_WRONG_USE = re.compile(r"\(\) (takes|missing|got) |^unhashable type")

#: Characters of the message and of the traceback that are kept.
_MESSAGE_LIMIT = 4000
_TRACEBACK_LIMIT = 40_000


def describe(
    error: BaseException,
    operator_names: Sequence[str],
    log_tail: Callable[[], str],
    retryable: bool = True,
) -> TaskFailure:
    """What to report of an exception that ended a task.

    Args:
        error: as caught, with its traceback.
        operator_names: of the task's chain, by index.
        log_tail: gives the last lines of the worker's log.
        retryable: whether a restart may help.
    """
    operator, record, in_key = _where(error, operator_names)
    message = _message(error)
    if isinstance(error, TypeError) and message.endswith("object is not iterable") and _in_generated(error):
        retryable = False
        message += f". The function of '{operator}' must yield its results, or return a list of them or None"
    if in_key and isinstance(error, TypeError) and "unhashable" in message and record is not _UNKNOWN:
        retryable = False
        message = (
            f"{message}: the key selector behind '{operator}' must return something that can be hashed, such as "
            f"a tuple, string or number; the record was {shorten(record)}"
        )
    text = _user_traceback(error, message)
    if operator and record is not _UNKNOWN:
        # Operators put a timer or a window of ours in the place of a record while it fires.
        occasion = "at" if type(record).__module__.startswith("yarnflow.runtime.") else "with the record"
        text = f"In operator '{operator}', {occasion} {shorten(record)}:\n{text}"
    elif operator:
        text = f"In operator '{operator}':\n{text}"
    return TaskFailure(
        message[:_MESSAGE_LIMIT], text[-_TRACEBACK_LIMIT:], operator, log_tail(), retryable=retryable
    )


def in_one_line(error: BaseException) -> str:
    """What was raised while a snapshot was taken, and where in the user's code; the log has more."""
    operator, _, _ = _where(error, ())  # no generated code takes part
    text = _message(error)[:_MESSAGE_LIMIT]
    places = [f"operator '{operator}'"] if operator else []
    if _of_the_user(error):
        frame = [each for each in traceback.extract_tb(error.__traceback__) if not _is_ours(each.filename)][-1]
        places.append(f"{frame.name}() in {frame.filename}, line {frame.lineno}")
    return f"{text} ({', '.join(places)})" if places else text


def _message(error: BaseException) -> str:
    """Class and text in one line."""
    try:
        text = str(error)
    except Exception as broken:  # a user's __str__ must not hide the failure
        text = f"<its text cannot be shown: {type(broken).__name__}>"
    first = " ".join(text.split())
    name = type(error).__name__
    return f"{name}: {first}" if first else name


def _where(error: BaseException, names: Sequence[str]) -> tuple[str, Any, bool]:
    """Operator name, record (or _UNKNOWN) and whether a key selector behind the operator raised."""
    found: tuple[str, Any, bool] = ("", _UNKNOWN, False)
    working: StreamOperator | None = None
    trace = error.__traceback__
    while trace is not None:
        frame = trace.tb_frame
        position = operator_at(frame, trace.tb_lineno)
        if position is not None:
            found = (names[position.operator], position.record, position.in_key)
        elif frame.f_code.co_filename != GENERATED:
            owner = frame.f_locals.get("self")
            if isinstance(owner, FusedOperator):
                # Its generated lines tell more; its own frame matters while it opens functions or asks for state.
                fused = frame.f_locals.get("fused")
                found = found if fused is None else (fused.operator.name, _UNKNOWN, False)
            elif isinstance(owner, StreamOperator):
                known = found[1] if owner is working else _UNKNOWN
                found = (owner.operator.name, frame.f_locals.get("record", known), False)
                working = owner
            elif isinstance(owner, HashPartition):
                # Behind an operator that is not compiled, the exchange calls the key selector itself.
                found = (found[0], frame.f_locals.get("record", _UNKNOWN), True)
            elif found[0] and "record" in frame.f_locals and _is_ours(frame.f_code.co_filename):
                # A helper of an operator that loops over the records itself.
                found = (found[0], frame.f_locals["record"], found[2])
        trace = trace.tb_next
    return found


def _user_traceback(error: BaseException, message: str) -> str:
    """The traceback without our frames; with them when nothing else is left and it may be a fault of ours."""
    parts: list[str] = []
    shown: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in shown:
        shown.add(id(current))
        parts.append(_one(current, message if current is error else _message(current)))
        if current.__cause__ is not None:
            following, relation = current.__cause__, _CAUSED
        elif current.__context__ is not None and not current.__suppress_context__:
            following, relation = current.__context__, _DURING
        else:
            break
        if isinstance(current, YarnflowError) and not _of_the_user(following):
            break  # our message says already what is to be known of it
        parts.append(relation)
        current = following
    return "".join(reversed(parts))


def _one(error: BaseException, message: str) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not _is_ours(frame.filename)]
    # Between our frames and the user's may be those of what we call it with (contextlib, asyncio).
    first = next((at for at, frame in enumerate(own) if not _is_library(frame.filename)), 0)
    own = own[first:]
    if isinstance(error, YarnflowError):
        # What we called in the end, to find out what is wrong, is of no interest.
        while own and _is_library(own[-1].filename):
            del own[-1]
    elif not own and not _is_plain(error):
        own = [frame for frame in frames if frame.filename != GENERATED]
    if not own:
        return f"{message}\n"
    listed = "".join(traceback.format_list(own))
    return f"Traceback (most recent call last):\n{listed}{message}\n"


def _is_plain(error: BaseException) -> bool:
    """Whether an error that no user's frame raised is about the user's function all the same: about what it
    returned, how it is called, or that it took too long."""
    if isinstance(error, TimeoutError) or _in_generated(error):
        return True
    return isinstance(error, TypeError) and _WRONG_USE.search(str(error)) is not None


def _in_generated(error: BaseException) -> bool:
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and frames[-1].filename == GENERATED


def _of_the_user(error: BaseException) -> bool:
    """Whether the user's code was running when it was raised."""
    return any(
        not _is_ours(frame.filename) and not _is_library(frame.filename)
        for frame in traceback.extract_tb(error.__traceback__)
    )


def _is_ours(filename: str) -> bool:
    return filename == GENERATED or os.path.abspath(filename).startswith(_OWN)


def _is_library(filename: str) -> bool:
    """Python's own modules and cloudpickle; not what else is installed, which may be the user's."""
    if filename.startswith(_PYTHON):
        return "-packages" not in filename or f"{os.sep}cloudpickle{os.sep}" in filename
    return filename.startswith("<frozen") or f"{os.sep}cloudpickle{os.sep}" in filename

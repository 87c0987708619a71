"""Properties of an operator that streams and sinks set alike, with their checks."""

from __future__ import annotations

import re

from yarnflow.datastream.slot_sharing_group import SlotSharingGroup
from yarnflow.errors import ProgramError
from yarnflow.graph.key_groups import UPPER_BOUND
from yarnflow.graph.transformations import ChainingStrategy, OperatorTransformation

_UID_HASH = re.compile("[0-9a-fA-F]{32}")


def check_parallelism(parallelism: object, of: str) -> int:
    """Return it if it can be a parallelism. Raises ProgramError naming `of`."""
    if isinstance(parallelism, bool) or not isinstance(parallelism, int) or parallelism < 1:
        raise ProgramError(f"{of}: the parallelism must be a whole number from 1 up, not {parallelism!r}")
    return parallelism


def set_parallelism(operator: OperatorTransformation, parallelism: int) -> None:
    """Set the number of subtasks."""
    check_parallelism(parallelism, f"operator '{operator.name}'")
    if operator.non_parallel and parallelism != 1:
        raise ProgramError(
            f"operator '{operator.name}' cannot run in parallel: its parallelism is 1, not {parallelism}. Set the "
            "parallelism of the operators after it"
        )
    operator.parallelism = parallelism


def set_max_parallelism(operator: OperatorTransformation, max_parallelism: int) -> None:
    """Set the number of key groups."""
    if isinstance(max_parallelism, bool) or not isinstance(max_parallelism, int):
        raise ProgramError(f"operator '{operator.name}': the maximum parallelism must be a whole number")
    if not 1 <= max_parallelism <= UPPER_BOUND:
        raise ProgramError(
            f"operator '{operator.name}': the maximum parallelism must be from 1 to {UPPER_BOUND}, "
            f"not {max_parallelism}"
        )
    operator.max_parallelism = max_parallelism


def set_uid(operator: OperatorTransformation, uid: str) -> None:
    """Set the uid."""
    if not isinstance(uid, str) or not uid:
        raise ProgramError(f"operator '{operator.name}': a uid is a text that is not empty, not {uid!r}")
    operator.uid = uid


def set_uid_hash(operator: OperatorTransformation, uid_hash: str) -> None:
    """Set the operator id."""
    if not isinstance(uid_hash, str) or not _UID_HASH.fullmatch(uid_hash):
        raise ProgramError(f"operator '{operator.name}': a uid hash is 32 hex digits, not {uid_hash!r}")
    operator.uid_hash = uid_hash.lower()


def start_new_chain(operator: OperatorTransformation) -> None:
    """Begin a task with this operator."""
    operator.chaining = ChainingStrategy.HEAD


def disable_chaining(operator: OperatorTransformation) -> None:
    """Give the operator a task of its own."""
    operator.chaining = ChainingStrategy.NEVER


def set_slot_sharing_group(operator: OperatorTransformation, group: str | SlotSharingGroup) -> None:
    """Set the group whose operators share slots."""
    name = group.get_name() if isinstance(group, SlotSharingGroup) else group
    if not isinstance(name, str) or not name:
        raise ProgramError(f"operator '{operator.name}': a slot sharing group has a name, not {group!r}")
    if isinstance(group, SlotSharingGroup):
        warn_about_resources(group)
    operator.slot_sharing_group = name


def warn_about_resources(group: SlotSharingGroup) -> None:
    """Warn when a group names resources, which are not given out by group."""
    if group.names_resources:
        import warnings  # hardly any program comes here

        warnings.warn(
            f"the resources of slot sharing group '{group.name}' have no effect: every slot has an equal share of "
            "its TaskManager (taskmanager.memory.process.size, taskmanager.numberOfTaskSlots)",
            stacklevel=4,
        )

"""What the DataStream API builds: operators and what lies between them, linked to their inputs.

`OperatorTransformation` becomes an operator. The others are only about edges and vanish in the stream graph:
a partitioning, a union, the choice of a side output. Objects are compared by identity; `id` counts up in one
environment, so that a graph is always walked in the order it was built in.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from yarnflow.common.typeinfo import TypeInformation
from yarnflow.functions.output_tag import OutputTag
from yarnflow.graph.job_graph import Partitioning
from yarnflow.graph.operators import OperatorSpec


class ChainingStrategy(Enum):
    """Whether an operator may run in one task with its neighbours."""

    ALWAYS = "ALWAYS"  # with both
    HEAD = "HEAD"  # with the operators after it, never with the one before
    NEVER = "NEVER"


@dataclass(eq=False)
class Transformation:
    """Base of all transformations.

    Attributes:
        id: 1, 2, 3, ... in one environment.
        output_type: type of the records, None if not declared.
    """

    id: int
    output_type: TypeInformation | None


@dataclass(eq=False)
class OperatorTransformation(Transformation):
    """An operator.

    Attributes:
        name: without the "Source: " or "Sink: " that is shown before it.
        spec: what it does.
        inputs: for each input of the operator the transformation that feeds it; none for a source.
        parallelism: number of subtasks.
        max_parallelism: number of key groups, None to derive it.
        non_parallel: the operator must have parallelism 1.
        uid, uid_hash: what its id is derived from, or its id.
        slot_sharing_group: None to inherit that of the inputs.
        buffer_timeout: ms that records wait at most on edges that leave it, None for the job's.
        description: shown in the plan instead of the name.
    """

    name: str
    spec: OperatorSpec
    inputs: tuple[Transformation, ...]
    parallelism: int
    max_parallelism: int | None = None
    non_parallel: bool = False
    uid: str | None = None
    uid_hash: str | None = None
    slot_sharing_group: str | None = None
    chaining: ChainingStrategy = ChainingStrategy.ALWAYS
    buffer_timeout: int | None = None
    description: str = ""


@dataclass(eq=False)
class PartitionTransformation(Transformation):
    """How records of `input` choose their subtask of whatever comes next."""

    input: Transformation
    partitioning: Partitioning
    key: Any = None
    partitioner: Any = None


@dataclass(eq=False)
class UnionTransformation(Transformation):
    """The records of all `inputs`."""

    inputs: tuple[Transformation, ...] = field(default=())


@dataclass(eq=False)
class SideOutputTransformation(Transformation):
    """The records that `input`, an operator, emits for `tag`."""

    input: Transformation
    tag: OutputTag

"""The name of a side output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from yarnflow.common.typeinfo import RowTypeInfo, TypeInformation, Types

__all__ = ["OutputTag"]


class OutputTag:
    """Names a side output: a ProcessFunction yields `(tag, record)`, `DataStream.get_side_output(tag)` reads.

    Tags of one id are the same tag.

    Args:
        tag_id: not empty.
        type_info: type of the records; a list of types stands for a row.

    Attributes:
        any_made: whether this process has ever had a tag. Operators look for tags among results only then.
    """

    __slots__ = ("tag_id", "type_info")

    any_made: ClassVar[bool] = False

    def __init__(self, tag_id: str, type_info: TypeInformation | Sequence[TypeInformation] | None = None) -> None:
        if not tag_id:
            raise ValueError("OutputTag needs an id that is not empty")
        OutputTag.any_made = True
        self.tag_id = tag_id
        if type_info is None:
            self.type_info: TypeInformation = Types.PICKLED_BYTE_ARRAY()
        elif isinstance(type_info, TypeInformation):
            self.type_info = type_info
        elif isinstance(type_info, list):
            self.type_info = RowTypeInfo(type_info)
        else:
            raise TypeError(
                "the type of an OutputTag is a type such as Types.STRING(), or a list of types for a row"
            )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OutputTag) and self.tag_id == other.tag_id

    def __hash__(self) -> int:
        return hash(self.tag_id)

    def __repr__(self) -> str:
        return f"OutputTag({self.tag_id!r}, {self.type_info!r})"

    def __reduce__(self) -> tuple[type[OutputTag], tuple[str, TypeInformation]]:
        return OutputTag, (self.tag_id, self.type_info)

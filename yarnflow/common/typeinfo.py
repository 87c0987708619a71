"""Types of records: `Types.STRING()`, `Types.ROW_NAMED([...], [...])`, `Types.TUPLE([...])`, ...

yarnflow passes Python objects as they are, so a type is needed only where the program wants a shape: a
declared `TUPLE` makes lists and rows tuples, a declared `ROW` makes tuples, lists and dicts rows with the
declared names, else f0, f1, ... (`TypeInformation.converter`), printing follows the declared type, and
sources and sinks with a schema use it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any

from yarnflow.common.types import Row, make_row
from yarnflow.errors import WrongTypeError

__all__ = ["TypeInformation", "Types"]

Converter = Callable[[Any], Any]


class TypeInformation:
    """Base of all types. Types are equal by value and can be hashed."""

    def _parts(self) -> tuple[Any, ...]:
        """What makes this type differ from others of its class."""
        return ()

    def converter(self) -> Converter | None:
        """A function that gives a value the shape of this type; None when values stay as they are.

        The function raises WrongTypeError for a value that cannot have that shape. None (no value) is kept.
        """
        return None

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self._parts() == other._parts()

    def __hash__(self) -> int:
        return hash((type(self), self._parts()))

    def __repr__(self) -> str:
        return type(self).__name__


class BasicType(Enum):
    """Simple values, named as in Java."""

    STRING = "String"
    BYTE = "Byte"
    BOOLEAN = "Boolean"
    SHORT = "Short"
    INT = "Integer"
    LONG = "Long"
    FLOAT = "Float"
    DOUBLE = "Double"
    CHAR = "Char"
    BIG_INT = "BigInteger"
    BIG_DEC = "BigDecimal"
    INSTANT = "Instant"


class BasicTypeInfo(TypeInformation):
    """A simple value."""

    def __init__(self, basic_type: BasicType) -> None:
        self.basic_type = basic_type

    def _parts(self) -> tuple[Any, ...]:
        return (self.basic_type,)

    def __repr__(self) -> str:
        return self.basic_type.value


class SqlTimeTypeInfo(TypeInformation):
    """Base of datetime.date, datetime.time and datetime.datetime."""

    @staticmethod
    def DATE() -> DateTypeInfo:
        """datetime.date"""
        return DateTypeInfo()

    @staticmethod
    def TIME() -> TimeTypeInfo:
        """datetime.time"""
        return TimeTypeInfo()

    @staticmethod
    def TIMESTAMP() -> TimestampTypeInfo:
        """datetime.datetime"""
        return TimestampTypeInfo()


class DateTypeInfo(SqlTimeTypeInfo):
    """datetime.date"""


class TimeTypeInfo(SqlTimeTypeInfo):
    """datetime.time"""


class TimestampTypeInfo(SqlTimeTypeInfo):
    """datetime.datetime"""


class PickledBytesTypeInfo(TypeInformation):
    """Any Python object: the type of streams that declare none."""

    def __repr__(self) -> str:
        return "PickledByteArrayTypeInfo"


class _ArrayTypeInfo(TypeInformation):
    """A list whose elements have one type."""

    def __init__(self, element_type: TypeInformation) -> None:
        self.element_type = element_type

    def _parts(self) -> tuple[Any, ...]:
        return (self.element_type,)

    def converter(self) -> Converter | None:
        element = self.element_type.converter()
        if element is None:
            return None

        def to_list(value: Any) -> Any:
            return None if value is None else [element(item) for item in value]

        return to_list

    def __repr__(self) -> str:
        return f"{type(self).__name__}<{self.element_type!r}>"


class PrimitiveArrayTypeInfo(_ArrayTypeInfo):
    """A list of numbers or booleans; of bytes: a `bytes`."""


class BasicArrayTypeInfo(_ArrayTypeInfo):
    """A list of simple values or None."""


class ObjectArrayTypeInfo(_ArrayTypeInfo):
    """A list of anything of one type."""


class ListTypeInfo(_ArrayTypeInfo):
    """A list."""

    @property
    def elem_type(self) -> TypeInformation:
        """The type of the elements, under PyFlink's name."""
        return self.element_type


class MapTypeInfo(TypeInformation):
    """A dict."""

    def __init__(self, key_type_info: TypeInformation, value_type_info: TypeInformation) -> None:
        self.key_type = key_type_info
        self.value_type = value_type_info

    def _parts(self) -> tuple[Any, ...]:
        return (self.key_type, self.value_type)

    def __repr__(self) -> str:
        return f"MapTypeInfo<{self.key_type!r}, {self.value_type!r}>"


class TupleTypeInfo(TypeInformation):
    """A tuple with one type per field."""

    def __init__(self, field_types: Sequence[TypeInformation]) -> None:
        self._field_types = _checked(field_types)

    def get_field_types(self) -> list[TypeInformation]:
        """The types of the fields, in order."""
        return list(self._field_types)

    def _parts(self) -> tuple[Any, ...]:
        return self._field_types

    def converter(self) -> Converter:
        width = len(self._field_types)
        fields = _field_converters(self._field_types)

        def to_tuple(value: Any) -> Any:
            if type(value) is tuple and len(value) == width:
                return value if fields is None else _convert(value, fields)
            if value is None:
                return None
            if isinstance(value, (tuple, list, Row)) and len(value) == width:
                return tuple(value) if fields is None else _convert(value, fields)
            raise _misfit(value, self)

        return to_tuple

    def __repr__(self) -> str:
        return f"TupleTypeInfo({', '.join(map(repr, self._field_types))})"


class RowTypeInfo(TypeInformation):
    """A Row with one type per field, and names f0, f1, ... unless others are given."""

    def __init__(self, field_types: Sequence[TypeInformation], field_names: Sequence[str] | None = None) -> None:
        self._field_types = _checked(field_types)
        self._field_names = None if field_names is None else tuple(field_names)
        if self._field_names is not None and len(self._field_names) != len(self._field_types):
            raise ValueError(
                f"a row type needs as many names as types: {len(self._field_names)} names, "
                f"{len(self._field_types)} types"
            )

    def get_field_names(self) -> list[str]:
        """The names of the fields, in order."""
        if self._field_names is None:
            return [f"f{index}" for index in range(len(self._field_types))]
        return list(self._field_names)

    def get_field_index(self, field_name: str) -> int:
        """The position of a name, -1 when the type declares no names. Raises ValueError if it is unknown."""
        return -1 if self._field_names is None else self._field_names.index(field_name)

    def get_field_types(self) -> list[TypeInformation]:
        """The types of the fields, in order."""
        return list(self._field_types)

    def _parts(self) -> tuple[Any, ...]:
        # Names do not count, as in PyFlink: a row type equals one with the same field types.
        return self._field_types

    def converter(self) -> Converter:
        keys = self.get_field_names()
        names = tuple(keys)
        width = len(self._field_types)
        fields = _field_converters(self._field_types)

        def to_row(value: Any) -> Any:
            if type(value) is Row:
                if value._fields == names and fields is None and len(value) == width:
                    return value
                values = list(value.get_fields_by_names(keys) if value._fields is not None else value)
                kind = value._row_kind
            elif value is None:
                return None
            else:
                kind = None
                if isinstance(value, (tuple, list)):
                    values = list(value)
                elif isinstance(value, dict):
                    values = [value.get(key) for key in keys]
                elif hasattr(value, "__dict__"):
                    values = [getattr(value, key, None) for key in keys]
                else:
                    raise _misfit(value, self)
            if len(values) != width:
                raise _misfit(value, self, len(values))
            if fields is not None:
                values = list(_convert(values, fields))
            return make_row(names, values) if kind is None else make_row(names, values, kind)

        return to_row

    def __repr__(self) -> str:
        types = [repr(field_type) for field_type in self._field_types]
        if self._field_names is not None:
            types = [f"{name}: {text}" for name, text in zip(self._field_names, types, strict=False)]
        return f"RowTypeInfo({', '.join(types)})"


def _misfit(value: Any, declared: TypeInformation, fields: int | None = None) -> WrongTypeError:
    reason = "" if fields is None else f" (it has {fields} fields)"
    return WrongTypeError(
        f"the value {value!r} does not fit the declared type {declared!r}{reason}: change what the function "
        "returns, or the type that is declared for it"
    )


def _checked(field_types: Sequence[TypeInformation]) -> tuple[TypeInformation, ...]:
    for position, field_type in enumerate(field_types):
        if not isinstance(field_type, TypeInformation):
            raise TypeError(f"field {position} must be a type such as Types.STRING(), not {field_type!r}")
    return tuple(field_types)


def _field_converters(types: Sequence[TypeInformation]) -> list[Converter | None] | None:
    converters = [field_type.converter() for field_type in types]
    return converters if any(converters) else None


def _convert(values: Any, converters: list[Converter | None]) -> tuple[Any, ...]:
    return tuple(
        value if converter is None else converter(value)
        for value, converter in zip(values, converters, strict=False)
    )


class Types:
    """Makes types.

    >>> Types.TUPLE([Types.STRING(), Types.INT()])
    TupleTypeInfo(String, Integer)
    """

    @staticmethod
    def STRING() -> TypeInformation:
        """str"""
        return BasicTypeInfo(BasicType.STRING)

    @staticmethod
    def BYTE() -> TypeInformation:
        """int of 8 bits"""
        return BasicTypeInfo(BasicType.BYTE)

    @staticmethod
    def BOOLEAN() -> TypeInformation:
        """bool"""
        return BasicTypeInfo(BasicType.BOOLEAN)

    @staticmethod
    def SHORT() -> TypeInformation:
        """int of 16 bits"""
        return BasicTypeInfo(BasicType.SHORT)

    @staticmethod
    def INT() -> TypeInformation:
        """int of 32 bits"""
        return BasicTypeInfo(BasicType.INT)

    @staticmethod
    def LONG() -> TypeInformation:
        """int of 64 bits"""
        return BasicTypeInfo(BasicType.LONG)

    @staticmethod
    def FLOAT() -> TypeInformation:
        """float of 32 bits"""
        return BasicTypeInfo(BasicType.FLOAT)

    @staticmethod
    def DOUBLE() -> TypeInformation:
        """float of 64 bits"""
        return BasicTypeInfo(BasicType.DOUBLE)

    @staticmethod
    def CHAR() -> TypeInformation:
        """str of one character"""
        return BasicTypeInfo(BasicType.CHAR)

    @staticmethod
    def BIG_INT() -> TypeInformation:
        """int of any size"""
        return BasicTypeInfo(BasicType.BIG_INT)

    @staticmethod
    def BIG_DEC() -> TypeInformation:
        """decimal.Decimal"""
        return BasicTypeInfo(BasicType.BIG_DEC)

    @staticmethod
    def INSTANT() -> TypeInformation:
        """common.Instant"""
        return BasicTypeInfo(BasicType.INSTANT)

    @staticmethod
    def SQL_DATE() -> TypeInformation:
        """datetime.date"""
        return DateTypeInfo()

    @staticmethod
    def SQL_TIME() -> TypeInformation:
        """datetime.time"""
        return TimeTypeInfo()

    @staticmethod
    def SQL_TIMESTAMP() -> TypeInformation:
        """datetime.datetime"""
        return TimestampTypeInfo()

    @staticmethod
    def PICKLED_BYTE_ARRAY() -> TypeInformation:
        """Any Python object"""
        return PickledBytesTypeInfo()

    @staticmethod
    def ROW(field_types: Sequence[TypeInformation]) -> RowTypeInfo:
        """Row without names"""
        return RowTypeInfo(field_types)

    @staticmethod
    def ROW_NAMED(field_names: Sequence[str], field_types: Sequence[TypeInformation]) -> RowTypeInfo:
        """Row with names"""
        return RowTypeInfo(field_types, field_names)

    @staticmethod
    def TUPLE(field_types: Sequence[TypeInformation]) -> TupleTypeInfo:
        """tuple"""
        return TupleTypeInfo(field_types)

    @staticmethod
    def PRIMITIVE_ARRAY(element_type: TypeInformation) -> TypeInformation:
        """list of numbers or booleans. Raises TypeError for other elements."""
        if element_type not in _PRIMITIVES:
            raise TypeError(f"a primitive array cannot hold {element_type!r}")
        return PrimitiveArrayTypeInfo(element_type)

    @staticmethod
    def BASIC_ARRAY(element_type: TypeInformation) -> TypeInformation:
        """list of simple values. Raises TypeError for other elements."""
        if element_type not in _PRIMITIVES and element_type != Types.STRING():
            raise TypeError(f"a basic array cannot hold {element_type!r}")
        return BasicArrayTypeInfo(element_type)

    @staticmethod
    def OBJECT_ARRAY(element_type: TypeInformation) -> TypeInformation:
        """list of anything"""
        return ObjectArrayTypeInfo(element_type)

    @staticmethod
    def MAP(key_type_info: TypeInformation, value_type_info: TypeInformation) -> TypeInformation:
        """dict"""
        return MapTypeInfo(key_type_info, value_type_info)

    @staticmethod
    def LIST(element_type_info: TypeInformation) -> TypeInformation:
        """list"""
        return ListTypeInfo(element_type_info)


_PRIMITIVES = frozenset(
    BasicTypeInfo(basic)
    for basic in (
        BasicType.BOOLEAN,
        BasicType.BYTE,
        BasicType.SHORT,
        BasicType.INT,
        BasicType.LONG,
        BasicType.FLOAT,
        BasicType.DOUBLE,
        BasicType.CHAR,
    )
)

"""`DataTypes`, in which PyFlink declares the columns of CSV and Parquet, and Arrow's types for them.

Each is a `common.Types` type: there is one type system. `nullable` is accepted for PyFlink programs; every column
may hold nulls.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from yarnflow.common.typeinfo import (
    BasicType,
    BasicTypeInfo,
    DateTypeInfo,
    ListTypeInfo,
    MapTypeInfo,
    PrimitiveArrayTypeInfo,
    RowTypeInfo,
    TimestampTypeInfo,
    TimeTypeInfo,
    TypeInformation,
    Types,
)
from yarnflow.errors import ConfigurationError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["DataTypes", "Field"]


class Field(NamedTuple):
    """A named field of `DataTypes.ROW`."""

    name: str
    data_type: TypeInformation


class DataTypes:
    """Makes types of columns.

    >>> DataTypes.ROW([DataTypes.FIELD("id", DataTypes.INT()), DataTypes.FIELD("name", DataTypes.STRING())])
    RowTypeInfo(id: Integer, name: String)
    """

    @staticmethod
    def STRING(nullable: bool = True) -> TypeInformation:
        """str"""
        return Types.STRING()

    @staticmethod
    def CHAR(length: int, nullable: bool = True) -> TypeInformation:
        """str; the length is not checked"""
        return Types.STRING()

    @staticmethod
    def VARCHAR(length: int, nullable: bool = True) -> TypeInformation:
        """str; the length is not checked"""
        return Types.STRING()

    @staticmethod
    def BOOLEAN(nullable: bool = True) -> TypeInformation:
        """bool"""
        return Types.BOOLEAN()

    @staticmethod
    def TINYINT(nullable: bool = True) -> TypeInformation:
        """int of 8 bits"""
        return Types.BYTE()

    @staticmethod
    def SMALLINT(nullable: bool = True) -> TypeInformation:
        """int of 16 bits"""
        return Types.SHORT()

    @staticmethod
    def INT(nullable: bool = True) -> TypeInformation:
        """int of 32 bits"""
        return Types.INT()

    @staticmethod
    def BIGINT(nullable: bool = True) -> TypeInformation:
        """int of 64 bits"""
        return Types.LONG()

    @staticmethod
    def FLOAT(nullable: bool = True) -> TypeInformation:
        """float of 32 bits"""
        return Types.FLOAT()

    @staticmethod
    def DOUBLE(nullable: bool = True) -> TypeInformation:
        """float of 64 bits"""
        return Types.DOUBLE()

    @staticmethod
    def DECIMAL(precision: int = 38, scale: int = 18, nullable: bool = True) -> TypeInformation:
        """decimal.Decimal; written with 38 digits, 18 of them after the point"""
        return Types.BIG_DEC()

    @staticmethod
    def DATE(nullable: bool = True) -> TypeInformation:
        """datetime.date"""
        return Types.SQL_DATE()

    @staticmethod
    def TIME(precision: int = 0, nullable: bool = True) -> TypeInformation:
        """datetime.time"""
        return Types.SQL_TIME()

    @staticmethod
    def TIMESTAMP(precision: int = 6, nullable: bool = True) -> TypeInformation:
        """datetime.datetime"""
        return Types.SQL_TIMESTAMP()

    @staticmethod
    def BYTES(nullable: bool = True) -> TypeInformation:
        """bytes"""
        return Types.PRIMITIVE_ARRAY(Types.BYTE())

    @staticmethod
    def ARRAY(element_type: TypeInformation, nullable: bool = True) -> TypeInformation:
        """list"""
        return Types.LIST(element_type)

    @staticmethod
    def MAP(key_type: TypeInformation, value_type: TypeInformation, nullable: bool = True) -> TypeInformation:
        """dict"""
        return Types.MAP(key_type, value_type)

    @staticmethod
    def FIELD(name: str, data_type: TypeInformation, description: str | None = None) -> Field:
        """A field of a row"""
        return Field(name, data_type)

    @staticmethod
    def ROW(fields: Sequence[Field | TypeInformation]) -> RowTypeInfo:
        """Row; fields without names are f0, f1, ..."""
        named = [f if isinstance(f, Field) else Field(f"f{i}", f) for i, f in enumerate(fields)]
        return Types.ROW_NAMED([f.name for f in named], [f.data_type for f in named])


def arrow_schema(row_type: RowTypeInfo) -> pa.Schema:
    """The columns of a row type. Raises ConfigurationError for a field that Arrow has no type for."""
    import pyarrow as pa  # heavy

    pairs = zip(row_type.get_field_names(), row_type.get_field_types(), strict=True)
    return pa.schema([pa.field(name, arrow_type(field_type)) for name, field_type in pairs])


def arrow_type(type_info: TypeInformation) -> pa.DataType:
    """Arrow's type for a declared one. Raises ConfigurationError when there is none."""
    import pyarrow as pa  # heavy

    if isinstance(type_info, BasicTypeInfo):
        simple = {
            BasicType.STRING: pa.string(),
            BasicType.CHAR: pa.string(),
            BasicType.BYTE: pa.int8(),
            BasicType.SHORT: pa.int16(),
            BasicType.INT: pa.int32(),
            BasicType.LONG: pa.int64(),
            BasicType.BOOLEAN: pa.bool_(),
            BasicType.FLOAT: pa.float32(),
            BasicType.DOUBLE: pa.float64(),
            BasicType.BIG_DEC: pa.decimal128(38, 18),
        }
        if type_info.basic_type in simple:
            return simple[type_info.basic_type]
    elif isinstance(type_info, DateTypeInfo):
        return pa.date32()
    elif isinstance(type_info, TimeTypeInfo):
        return pa.time64("us")
    elif isinstance(type_info, TimestampTypeInfo):
        return pa.timestamp("us")
    elif type_info == Types.PRIMITIVE_ARRAY(Types.BYTE()):
        return pa.binary()
    elif isinstance(type_info, (ListTypeInfo, PrimitiveArrayTypeInfo)) or hasattr(type_info, "element_type"):
        return pa.list_(arrow_type(type_info.element_type))
    elif isinstance(type_info, MapTypeInfo):
        return pa.map_(arrow_type(type_info.key_type), arrow_type(type_info.value_type))
    elif isinstance(type_info, RowTypeInfo):
        return pa.struct(list(arrow_schema(type_info)))
    raise ConfigurationError(f"{type_info!r} cannot be the type of a column")

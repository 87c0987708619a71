"""CsvSchema: the columns and the dialect of CSV files, with the settings of Jackson's CsvSchema as PyFlink shows
them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from yarnflow.common.typeinfo import RowTypeInfo, TypeInformation, Types
from yarnflow.functions.connectors.data_types import DataTypes


@dataclass(frozen=True)
class CsvColumn:
    """A column.

    Attributes:
        name: in the header and the records.
        type: of its values.
        separator: between the elements of an array column; "" takes the text as the only element.
    """

    name: str
    type: TypeInformation
    separator: str | None = None


@dataclass(frozen=True)
class CsvSchema:
    """Columns and dialect of CSV files. Make one with `CsvSchema.builder()`."""

    columns: tuple[CsvColumn, ...]
    column_separator: str = ","
    quote_char: str | None = '"'
    escape_char: str | None = None
    line_separator: str = "\n"
    null_value: str | None = None
    allow_comments: bool = False
    use_header: bool = False
    strict_headers: bool = False
    skip_first_data_row: bool = False

    @staticmethod
    def builder() -> CsvSchemaBuilder:
        """Start describing."""
        return CsvSchemaBuilder()

    @property
    def row_type(self) -> RowTypeInfo:
        """The type of the records."""
        return Types.ROW_NAMED([column.name for column in self.columns], [c.type for c in self.columns])

    def size(self) -> int:
        """Number of columns."""
        return len(self.columns)

    def __len__(self) -> int:
        return len(self.columns)


@dataclass
class CsvSchemaBuilder:
    """Describes CSV files; each method returns the builder."""

    _columns: list[CsvColumn] = field(default_factory=list)
    _dialect: CsvSchema = field(default_factory=lambda: CsvSchema(()))
    _array_separator: str = ";"

    def build(self) -> CsvSchema:
        """Make the schema."""
        return replace(self._dialect, columns=tuple(self._columns))

    def add_string_column(self, name: str) -> CsvSchemaBuilder:
        """A column of str."""
        return self._add(name, DataTypes.STRING())

    def add_number_column(self, name: str, number_type: TypeInformation | None = None) -> CsvSchemaBuilder:
        """A column of numbers, DataTypes.BIGINT() unless another type is given."""
        return self._add(name, DataTypes.BIGINT() if number_type is None else number_type)

    def add_boolean_column(self, name: str) -> CsvSchemaBuilder:
        """A column of true and false."""
        return self._add(name, DataTypes.BOOLEAN())

    def add_array_column(
        self, name: str, separator: str = ";", element_type: TypeInformation | None = None
    ) -> CsvSchemaBuilder:
        """A column of lists, their elements of DataTypes.STRING() unless another type is given."""
        self._columns.append(CsvColumn(name, DataTypes.ARRAY(element_type or DataTypes.STRING()), separator))
        return self

    def add_column(self, name: str, column_type: TypeInformation) -> CsvSchemaBuilder:
        """A column of any simple type, such as DataTypes.TIMESTAMP(). Not in PyFlink."""
        return self._add(name, column_type)

    def add_columns_from(self, schema: CsvSchema) -> CsvSchemaBuilder:
        """All columns of another schema."""
        self._columns.extend(schema.columns)
        return self

    def clear_columns(self) -> CsvSchemaBuilder:
        """Forget the columns."""
        self._columns.clear()
        return self

    def set_column_separator(self, char: str) -> CsvSchemaBuilder:
        """What stands between columns; a comma by default."""
        return self._set(column_separator=_one_char("column separator", char))

    def set_quote_char(self, char: str) -> CsvSchemaBuilder:
        """What encloses values that contain separators; `"` by default, doubled inside."""
        return self._set(quote_char=_one_char("quote char", char))

    def disable_quote_char(self) -> CsvSchemaBuilder:
        """Quotes are ordinary characters."""
        return self._set(quote_char=None)

    def set_escape_char(self, char: str) -> CsvSchemaBuilder:
        """What makes the next character an ordinary one; none by default."""
        return self._set(escape_char=_one_char("escape char", char))

    def disable_escape_char(self) -> CsvSchemaBuilder:
        """There is no escape character."""
        return self._set(escape_char=None)

    def set_line_separator(self, separator: str) -> CsvSchemaBuilder:
        """What ends lines that are written; newline, carriage return and both end lines that are read."""
        return self._set(line_separator=separator)

    def set_null_value(self, null_value: str) -> CsvSchemaBuilder:
        """What stands for a missing value. Without it, an empty text is missing in all columns but strings, and
        missing values are written as empty text."""
        return self._set(null_value=null_value)

    def set_allow_comments(self, allow: bool = True) -> CsvSchemaBuilder:
        """Whether lines that start with # are left out when reading."""
        return self._set(allow_comments=allow)

    def set_use_header(self, use: bool = True) -> CsvSchemaBuilder:
        """Whether the first line of each file names the columns."""
        return self._set(use_header=use)

    def set_strict_headers(self, strict: bool = True) -> CsvSchemaBuilder:
        """Whether the header must name the columns of the schema, in their order."""
        return self._set(strict_headers=strict)

    def set_skip_first_data_row(self, skip: bool = True) -> CsvSchemaBuilder:
        """Whether to leave out the first line after the header."""
        return self._set(skip_first_data_row=skip)

    def set_array_element_separator(self, separator: str) -> CsvSchemaBuilder:
        """What stands between the elements in all array columns added so far."""
        self._columns = [
            column if column.separator is None else replace(column, separator=separator)
            for column in self._columns
        ]
        return self

    def disable_array_element_separator(self) -> CsvSchemaBuilder:
        """The text of an array column is its only element."""
        return self.set_array_element_separator("")

    def remove_array_element_separator(self, index: int) -> CsvSchemaBuilder:
        """The text of the array column at that position is its only element."""
        self._columns[index] = replace(self._columns[index], separator="")
        return self

    def size(self) -> int:
        """Number of columns so far."""
        return len(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def _add(self, name: str, column_type: TypeInformation) -> CsvSchemaBuilder:
        self._columns.append(CsvColumn(name, column_type))
        return self

    def _set(self, **settings: object) -> CsvSchemaBuilder:
        self._dialect = replace(self._dialect, **settings)  # type: ignore[arg-type]
        return self


def _one_char(what: str, char: str) -> str:
    if len(char) != 1:
        raise ValueError(f"the {what} must be a single character, not {char!r}")
    return char

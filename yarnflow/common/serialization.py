"""Records to bytes and back, one at a time: what connectors with byte formats ask for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from yarnflow.common.java_text import java_text
from yarnflow.common.missing_names import missing_name

__all__ = ["ByteArraySchema", "DeserializationSchema", "Encoder", "SerializationSchema", "SimpleStringSchema"]


class SerializationSchema(ABC):
    """Turns a record into bytes."""

    @abstractmethod
    def serialize(self, value: Any) -> bytes:
        """Return the bytes of a record."""


class DeserializationSchema(ABC):
    """Turns bytes into a record."""

    @abstractmethod
    def deserialize(self, message: bytes) -> Any:
        """Return the record. Raises ValueError for bytes that are none."""


class SimpleStringSchema(SerializationSchema, DeserializationSchema):
    """A str and its bytes in `charset`."""

    def __init__(self, charset: str = "UTF-8") -> None:
        self.charset = charset

    def serialize(self, value: Any) -> bytes:
        return str(value).encode(self.charset)

    def deserialize(self, message: bytes) -> str:
        return message.decode(self.charset)


class ByteArraySchema(SerializationSchema, DeserializationSchema):
    """Bytes as they are."""

    def serialize(self, value: Any) -> bytes:
        return bytes(value)

    def deserialize(self, message: bytes) -> bytes:
        return message


class Encoder(ABC):
    """Writes records one after the other into a file."""

    @abstractmethod
    def encode(self, value: Any) -> bytes:
        """Return what stands in the file for a record, its end marker included."""

    def encode_all(self, values: Sequence[Any]) -> bytes:
        """Return what stands in the file for records in a row."""
        return b"".join(map(self.encode, values))

    @staticmethod
    def simple_string_encoder(charset_name: str = "UTF-8") -> Encoder:
        """One line per record: what Java's toString() shows, as in Flink (common/java_text.py), and a newline."""
        return _LineEncoder(charset_name)


class _LineEncoder(Encoder):
    def __init__(self, charset: str) -> None:
        self.charset = charset

    def encode(self, value: Any) -> bytes:
        return f"{java_text(value)}\n".encode(self.charset)

    def encode_all(self, values: Sequence[Any]) -> bytes:
        return "".join([f"{java_text(value)}\n" for value in values]).encode(self.charset)


def __getattr__(name: str) -> Any:
    raise missing_name(__name__, name)

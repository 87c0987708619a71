"""The settings of one process, job or session: keys and the texts they were given.

`Configuration` is what a program, the command line and the processes hand each other. Its typed side reads
options (`config[JobManagerOptions.RPC_PORT]`); its other side has the names of pyflink.common.Configuration.
"""

from __future__ import annotations

import builtins
from binascii import a2b_base64, b2a_base64
from collections.abc import Iterator, Mapping
from typing import TypeVar

from yarnflow.config.option import HIDDEN, Option, OptionPrefix, is_secret
from yarnflow.config.values import BOOLEAN, FLOAT, INTEGER, ValueType
from yarnflow.errors import ConfigurationError

T = TypeVar("T")


class Configuration:
    """Keys and values. Values are kept as text and parsed where they are read.

    >>> from yarnflow.config import Option
    >>> slots = Option("taskmanager.numberOfTaskSlots", int, 1, "Slots.")
    >>> config = Configuration({"taskmanager.numberOfTaskSlots": "4"})
    >>> config[slots]
    4

    Args:
        other: settings to start with; they are copied.
    """

    __slots__ = ("_values",)

    def __init__(self, other: Configuration | Mapping[str, str] | None = None) -> None:
        self._values: dict[str, str] = {}
        if other is not None:
            self._values.update(other._values if isinstance(other, Configuration) else other)

    # --------------------------------------------------------------------------------------- typed options

    def __getitem__(self, option: Option[T]) -> T:
        """The value of `option`: set under its key, else under a fallback key, else its default.

        Raises:
            ConfigurationError: the text that is set is not of the option's type.
        """
        key = self._key_of(option)
        return option.default if key is None else option.parse(self._values[key], key)

    def get(self, option: Option[T]) -> T | None:
        """The value that was set, or None when it was not; defaults do not count."""
        key = self._key_of(option)
        return None if key is None else option.parse(self._values[key], key)

    def set(self, option: Option[T], value: T) -> Configuration:
        """Set `option`, whatever its fallback keys say. Returns self.

        Raises:
            ConfigurationError: the value is not one the option accepts.
        """
        self._values[option.key] = option.format(value)
        return self

    def __contains__(self, option: Option[T] | str) -> bool:
        """Whether the option (under any of its keys) or the key is set."""
        if isinstance(option, str):
            return option in self._values
        return self._key_of(option) is not None

    def with_prefix(self, prefix: OptionPrefix) -> dict[str, str]:
        """The entries below a prefix, with the prefix cut off."""
        return {
            key[len(prefix.prefix) :]: value
            for key, value in self._values.items()
            if key.startswith(prefix.prefix) and len(key) > len(prefix.prefix)
        }

    def _key_of(self, option: Option[T]) -> str | None:
        if option.key in self._values:
            return option.key
        return next((key for key in option.fallback if key in self._values), None)

    # --------------------------------------------------------------------------------------- as a whole

    def clone(self) -> Configuration:
        """A copy that can be changed on its own."""
        return Configuration(self)

    def merge(self, stronger: Configuration | Mapping[str, str]) -> Configuration:
        """A new configuration with these settings, overridden by `stronger`."""
        merged = Configuration(self)
        merged._values.update(stronger._values if isinstance(stronger, Configuration) else stronger)
        return merged

    def to_dict(self) -> dict[str, str]:
        """Every key with its text, secrets included."""
        return dict(self._values)

    def to_masked_dict(self) -> dict[str, str]:
        """Every key with its text, secrets masked: for logs, the REST API and the dashboard."""
        return {key: HIDDEN if is_secret(key) else value for key, value in self._values.items()}

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __eq__(self, other: object) -> bool:
        return self._values == other._values if isinstance(other, Configuration) else NotImplemented

    def __hash__(self) -> int:
        # As in PyFlink: a configuration that is a key of a dict must not be changed while it is.
        return hash(frozenset(self._values.items()))

    def __repr__(self) -> str:
        return f"Configuration({self.to_masked_dict()!r})"

    def __deepcopy__(self, memo: object = None) -> Configuration:
        return Configuration(self)

    def __reduce__(self) -> tuple[type[Configuration], tuple[dict[str, str]]]:
        return Configuration, (dict(self._values),)

    # --------------------------------------------------------------------------------------- PyFlink's names

    def get_string(self, key: str, default_value: str) -> str:
        """The text under `key`, or `default_value`."""
        return self._values.get(key, default_value)

    def set_string(self, key: str, value: str) -> Configuration:
        """Put a text under `key`. Returns self."""
        self._values[key] = str(value)
        return self

    def get_integer(self, key: str, default_value: int) -> int:
        """The whole number under `key`, or `default_value`. Raises ConfigurationError for another text."""
        return self._read(key, INTEGER, default_value)

    def set_integer(self, key: str, value: int) -> Configuration:
        """Put a whole number under `key`. Returns self."""
        self._values[key] = INTEGER.format(value)
        return self

    def get_float(self, key: str, default_value: float) -> float:
        """The number under `key`, or `default_value`. Raises ConfigurationError for another text."""
        return self._read(key, FLOAT, float(default_value))

    def set_float(self, key: str, value: float) -> Configuration:
        """Put a number under `key`. Returns self."""
        self._values[key] = FLOAT.format(float(value))
        return self

    def get_boolean(self, key: str, default_value: bool) -> bool:
        """True or false as under `key`, or `default_value`. Raises ConfigurationError for another text."""
        return self._read(key, BOOLEAN, default_value)

    def set_boolean(self, key: str, value: bool) -> Configuration:
        """Put true or false under `key`. Returns self."""
        self._values[key] = BOOLEAN.format(value)
        return self

    def get_bytearray(self, key: str, default_value: bytearray) -> bytearray:
        """The bytes under `key`, or `default_value`. Raises ConfigurationError if it was not set as bytes."""
        return self._read(key, _BYTEARRAY, default_value)

    def set_bytearray(self, key: str, value: bytearray) -> Configuration:
        """Put bytes under `key`; they are kept as base64 text. Returns self."""
        self._values[key] = _BYTEARRAY.format(value)
        return self

    def key_set(self) -> builtins.set[str]:
        """All keys."""
        return builtins.set(self._values)

    def contains_key(self, key: str) -> bool:
        """Whether `key` is set."""
        return key in self._values

    def add_all(self, other: Configuration, prefix: str | None = None) -> Configuration:
        """Take over every entry of `other`, its keys behind `prefix`. Returns self."""
        self._values.update({(prefix or "") + key: value for key, value in other._values.items()})
        return self

    def add_all_to_dict(self, target_dict: dict[str, str]) -> None:
        """Copy every entry into `target_dict`."""
        target_dict.update(self._values)

    def remove_config(self, key: str) -> bool:
        """Drop `key`. Returns whether it was set."""
        return self._values.pop(key, None) is not None

    def _read(self, key: str, type: ValueType[T], default: T) -> T:
        text = self._values.get(key)
        if text is None:
            return default
        try:
            return type.parse(text)
        except ValueError:
            shown = HIDDEN if is_secret(key) else repr(text)
            raise ConfigurationError(f"{key}: {shown} is not {type.accepts}") from None


def _parse_bytearray(text: str) -> bytearray:
    return bytearray(a2b_base64(text.encode("ascii")))


def _format_bytearray(value: bytearray) -> str:
    return b2a_base64(value, newline=False).decode("ascii")


_BYTEARRAY: ValueType[bytearray] = ValueType("Bytes", _parse_bytearray, _format_bytearray, "base64 text")

"""An option: a key of the configuration, declared once with its type, default and meaning.

Declarations stand in this package by area, as constants of a class: `JobManagerOptions.RPC_PORT`. Code reads
`config[JobManagerOptions.RPC_PORT]`. The configuration file and docs/configuration.md are rendered from them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from yarnflow.config.values import ValueType, value_type
from yarnflow.errors import ConfigurationError

T = TypeVar("T")

HIDDEN = "******"

#: A key with one of these in it holds a secret (Flink's list, in its GlobalConfiguration, and ours).
_SECRET_PARTS = (
    "password",
    "secret",
    "token",
    "apikey",
    "api-key",
    "auth-params",
    "service-key",
    "basic-auth",
    "jaas.config",
    "http-headers",
    "fs.azure.account.key",
    "credential",
    "keytab-content",
)


def is_secret(key: str) -> bool:
    """Whether the value of `key` must not be shown in logs, errors or the REST API."""
    key = key.lower()
    return any(part in key for part in _SECRET_PARTS)


class Option(Generic[T]):
    """One key of the configuration.

    Args:
        key: Flink's key when Flink has one.
        type: str, int, float, bool, timedelta (a duration), MemorySize, an Enum, or a `ValueType`.
        default: the value when the key is not set; None says that there is none.
        doc: what it does, in one or two sentences of Markdown.
        fallback: older keys (Flink's deprecated ones) that are read when `key` is not set, in this order.
        choices: the values accepted, when not all of the type are.
        minimum: the least value accepted.
        shown: the text that stands uncommented in the rendered configuration file, where Flink's has one.
    """

    __slots__ = ("choices", "default", "doc", "fallback", "key", "minimum", "shown", "type")

    def __init__(
        self,
        key: str,
        type: type[T] | ValueType[T],
        default: T,
        doc: str,
        *,
        fallback: Sequence[str] = (),
        choices: Sequence[T] = (),
        minimum: T | None = None,
        shown: str | None = None,
    ) -> None:
        self.key = key
        self.type: ValueType[T] = value_type(type)
        self.default = default
        self.doc = doc
        self.fallback = tuple(fallback)
        self.choices = tuple(choices)
        self.minimum = minimum
        self.shown = shown

    @property
    def accepts(self) -> str:
        """What a value must be, in words."""
        if self.choices:
            return "one of " + ", ".join(self.type.format(choice) for choice in self.choices)
        if self.minimum is not None:
            return f"{self.type.accepts}, at least {self.type.format(self.minimum)}"
        return self.type.accepts

    def parse(self, text: str, key: str | None = None) -> T:
        """The value that `text` stands for.

        Args:
            text: what the file, environment or command line says.
            key: the key it was given under, if that is one of the fallback keys.

        Raises:
            ConfigurationError: names key, value and what is accepted.
        """
        try:
            value = self.type.parse(text)
        except ValueError:
            raise self._refused(text, key) from None
        self._check(value, text, key)
        return value

    def format(self, value: T) -> str:
        """The text for `value`. Raises ConfigurationError for a value that `parse` would refuse."""
        try:
            text = self.type.format(value)
            self.type.parse(text)
        except (ValueError, TypeError, AttributeError):
            raise self._refused(str(value), None) from None
        self._check(value, text, None)
        return text

    def _check(self, value: Any, text: str, key: str | None) -> None:
        if self.choices and value not in self.choices:
            raise self._refused(text, key)
        if self.minimum is not None and value < self.minimum:
            raise self._refused(text, key)

    def _refused(self, text: str, key: str | None) -> ConfigurationError:
        key = key or self.key
        shown = HIDDEN if is_secret(key) else repr(text)
        return ConfigurationError(f"{key}: {shown} is not {self.accepts}")

    def __repr__(self) -> str:
        return f"Option({self.key!r}, {self.type.name}, default={self.default!r})"


class OptionPrefix:
    """A family of keys that begin alike, for instance one environment variable each.

    Args:
        prefix: ends in a dot.
        placeholder: what follows the prefix, for the documentation: "NAME".
        doc: what the entries do.
    """

    __slots__ = ("doc", "placeholder", "prefix")

    def __init__(self, prefix: str, placeholder: str, doc: str) -> None:
        self.prefix = prefix
        self.placeholder = placeholder
        self.doc = doc

    def __repr__(self) -> str:
        return f"OptionPrefix({self.prefix!r})"

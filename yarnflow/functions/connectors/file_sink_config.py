"""What programs configure of a FileSink: the buckets (directories), when a part file is closed and the next one
opened, and the names of part files."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone, tzinfo

from yarnflow.errors import ConfigurationError

# -- buckets -------------------------------------------------------------------------------------------------


class BucketAssigner(ABC):
    """Chooses the directory below the base path that records written at some time go to."""

    @abstractmethod
    def bucket_id(self, now: float) -> str:
        """The directory relative to the base path, "" for the base path itself.

        Args:
            now: seconds since the epoch.
        """

    @staticmethod
    def base_path_bucket_assigner() -> BucketAssigner:
        """Write into the base path."""
        return _BasePath()

    @staticmethod
    def date_time_bucket_assigner(
        format_str: str = "yyyy-MM-dd--HH", timezone_id: str | None = None
    ) -> BucketAssigner:
        """Write into a directory named by the time of writing.

        Args:
            format_str: a pattern of Java's DateTimeFormatter with y, M, d, H, m, s, S and quoted text.
            timezone_id: such as "Europe/Berlin" or "GMT-08:00"; None for the machine's.

        Raises ConfigurationError for anything else.
        """
        _strftime(format_str, datetime.now(timezone.utc))
        _timezone(timezone_id)
        return _DateTime(format_str, timezone_id)


@dataclass(frozen=True)
class _BasePath(BucketAssigner):
    def bucket_id(self, now: float) -> str:
        return ""


@dataclass(frozen=True)
class _DateTime(BucketAssigner):
    format: str
    timezone_id: str | None

    def bucket_id(self, now: float) -> str:
        zone = _timezone(self.timezone_id)
        return _strftime(self.format, datetime.fromtimestamp(now, timezone.utc).astimezone(zone))


_PATTERN = re.compile(r"'([^']*)'|([A-Za-z])\2*|[^A-Za-z']+")
_LETTERS = {"y": "year", "u": "year", "M": "month", "d": "day", "H": "hour", "m": "minute", "s": "second"}


def _strftime(pattern: str, when: datetime) -> str:
    """Format as Java's DateTimeFormatter does."""
    parts, end = [], 0
    for match in _PATTERN.finditer(pattern):
        if match.start() != end:
            break
        end = match.end()
        text, letter = match[0], match[2]
        if match[1] is not None:
            parts.append(match[1] or "'")
        elif letter is None:
            parts.append(text)
        elif letter == "S":
            parts.append(f"{when.microsecond:06d}000"[: len(text)])
        elif letter in "yu" and len(text) == 2:
            parts.append(f"{when.year % 100:02d}")
        elif letter in _LETTERS and (len(text) <= 2 or letter in "yu"):
            parts.append(str(getattr(when, _LETTERS[letter])).zfill(len(text)))
        else:
            raise ConfigurationError(
                f"the bucket format {pattern!r} has {text!r}: use y, M, d, H, m, s, S, and text in single quotes"
            )
    if end != len(pattern):
        raise ConfigurationError(f"the bucket format {pattern!r} cannot be read from {pattern[end:]!r} on")
    return "".join(parts)


def _timezone(timezone_id: str | None) -> tzinfo | None:
    if timezone_id is None:
        return None
    match = re.fullmatch(r"(?:GMT|UTC|UT)?([+-])(\d{1,2})(?::?(\d{2}))?", timezone_id)
    if match:
        offset = timedelta(hours=int(match[2]), minutes=int(match[3] or 0))
        return timezone(-offset if match[1] == "-" else offset)
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError  # reads files, and is rarely used

    try:
        return ZoneInfo(timezone_id)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ConfigurationError(
            f"there is no time zone {timezone_id!r}: give a name such as 'Europe/Berlin' or an offset such as "
            "'GMT-08:00'"
        ) from error


# -- rolling -------------------------------------------------------------------------------------------------


class RollingPolicy(ABC):
    """Decides when a part file is closed and the next one opened."""

    @abstractmethod
    def should_roll(self, size: int, created: float, last_written: float, now: float) -> bool:
        """Whether to close the part file.

        Args:
            size: bytes written so far.
            created: when it was opened, in seconds since the epoch.
            last_written: when a record was last written to it.
            now: the time.
        """

    @staticmethod
    def default_rolling_policy(
        part_size: int = 128 * 1024 * 1024, rollover_interval: int = 60_000, inactivity_interval: int = 60_000
    ) -> DefaultRollingPolicy:
        """Roll by size in bytes, age in ms, and ms without a record."""
        return DefaultRollingPolicy(part_size, rollover_interval, inactivity_interval)

    @staticmethod
    def on_checkpoint_rolling_policy() -> OnCheckpointRollingPolicy:
        """Roll with every checkpoint only."""
        return OnCheckpointRollingPolicy()


@dataclass(frozen=True)
class DefaultRollingPolicy(RollingPolicy):
    """By size in bytes, age in ms, and ms without a record."""

    part_size: int = 128 * 1024 * 1024
    rollover_interval: int = 60_000
    inactivity_interval: int = 60_000

    def __post_init__(self) -> None:
        for name in ("part_size", "rollover_interval", "inactivity_interval"):
            if getattr(self, name) <= 0:
                raise ConfigurationError(f"{name} of a rolling policy must be positive, not {getattr(self, name)}")

    def should_roll(self, size: int, created: float, last_written: float, now: float) -> bool:
        return (
            size >= self.part_size
            or (now - created) * 1000 >= self.rollover_interval
            or (now - last_written) * 1000 >= self.inactivity_interval
        )


@dataclass(frozen=True)
class OnCheckpointRollingPolicy(RollingPolicy):
    """Only with checkpoints, and at the end."""

    def should_roll(self, size: int, created: float, last_written: float, now: float) -> bool:
        return False


# -- names ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class OutputFileConfig:
    """Names of part files: `prefix-...suffix`."""

    part_prefix: str = "part"
    part_suffix: str = ""

    def __post_init__(self) -> None:
        if "/" in self.part_prefix + self.part_suffix or self.part_prefix.startswith((".", "_")):
            raise ConfigurationError(
                f"part files cannot be named {self.part_prefix}-...{self.part_suffix}: a name has no slash, and "
                "readers skip names that start with a dot or an underscore"
            )

    @staticmethod
    def builder() -> OutputFileConfigBuilder:
        """Start configuring."""
        return OutputFileConfigBuilder()

    def get_part_prefix(self) -> str:
        """What names start with."""
        return self.part_prefix

    def get_part_suffix(self) -> str:
        """What names end with."""
        return self.part_suffix


class OutputFileConfigBuilder:
    """Builds an OutputFileConfig."""

    def __init__(self) -> None:
        self._prefix = "part"
        self._suffix = ""

    def with_part_prefix(self, prefix: str) -> OutputFileConfigBuilder:
        """What names start with."""
        self._prefix = prefix
        return self

    def with_part_suffix(self, suffix: str) -> OutputFileConfigBuilder:
        """What names end with, such as ".csv"."""
        self._suffix = suffix
        return self

    def build(self) -> OutputFileConfig:
        """Make the configuration."""
        return OutputFileConfig(self._prefix, self._suffix)

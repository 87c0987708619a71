"""When an asynchronous call is tried again, and after how long.

Flink counts attempts from 1, and `max_attempts` of the built-in strategies are those after the first one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Generic, Optional, TypeVar

__all__ = [
    "NO_RETRY_STRATEGY",
    "AsyncRetryPredicate",
    "AsyncRetryStrategy",
    "ExponentialBackoffDelayRetryStrategy",
    "FixedDelayRetryStrategy",
    "NoRetryStrategy",
    "RetryPredicate",
    "empty_result_predicate",
    "exception_type_predicate",
    "has_exception_predicate",
]

#: What may be written between the brackets when a program annotates its class; nothing reads it.
OUT = TypeVar("OUT")

ResultPredicate = Optional[Callable[[Any], bool]]  # noqa: UP045 - evaluated at run time
ExceptionPredicate = Optional[Callable[[Exception], bool]]  # noqa: UP045


class AsyncRetryPredicate(ABC, Generic[OUT]):
    """Which outcomes are worth another attempt."""

    @abstractmethod
    def result_predicate(self) -> ResultPredicate:
        """A function of the result (a list) that is true when it is not good enough, or None."""

    @abstractmethod
    def exception_predicate(self) -> ExceptionPredicate:
        """A function of the exception that is true when another attempt may help, or None."""


class AsyncRetryStrategy(ABC, Generic[OUT]):
    """Decides about the next attempt. One object serves all records of a subtask: it must not remember any."""

    @abstractmethod
    def can_retry(self, current_attempts: int) -> bool:
        """Whether there is another attempt after so many."""

    @abstractmethod
    def get_backoff_time_millis(self, current_attempts: int) -> int:
        """How long to wait before the next attempt, after so many, in ms."""

    @abstractmethod
    def get_retry_predicate(self) -> AsyncRetryPredicate[Any]:
        """Which outcomes are worth another attempt."""

    @staticmethod
    def no_restart() -> AsyncRetryStrategy[Any]:
        """One attempt only. (PyFlink's name.)"""
        return NO_RETRY_STRATEGY

    @staticmethod
    def fixed_delay(
        max_attempts: int,
        backoff_time_millis: int,
        result_predicate: ResultPredicate,
        exception_predicate: ExceptionPredicate,
    ) -> AsyncRetryStrategy[Any]:
        """Up to `max_attempts` more attempts, `backoff_time_millis` apart."""
        return FixedDelayRetryStrategy(max_attempts, backoff_time_millis, result_predicate, exception_predicate)

    @staticmethod
    def exponential_backoff(
        max_attempts: int,
        initial_delay: int,
        max_retry_delay: int,
        multiplier: float,
        result_predicate: ResultPredicate,
        exception_predicate: ExceptionPredicate,
    ) -> AsyncRetryStrategy[Any]:
        """Up to `max_attempts` more attempts: after `initial_delay` ms, then after `multiplier` times the delay
        before, never more than `max_retry_delay` ms."""
        return ExponentialBackoffDelayRetryStrategy(
            max_attempts, initial_delay, max_retry_delay, multiplier, result_predicate, exception_predicate
        )


class RetryPredicate(AsyncRetryPredicate[Any]):
    """Two functions, or None."""

    def __init__(self, result_predicate: ResultPredicate, exception_predicate: ExceptionPredicate) -> None:
        self._result_predicate = result_predicate
        self._exception_predicate = exception_predicate

    def result_predicate(self) -> ResultPredicate:
        return self._result_predicate

    def exception_predicate(self) -> ExceptionPredicate:
        return self._exception_predicate


class NoRetryStrategy(AsyncRetryStrategy[Any]):
    """One attempt only."""

    def can_retry(self, current_attempts: int) -> bool:
        return False

    def get_backoff_time_millis(self, current_attempts: int) -> int:
        return -1

    def get_retry_predicate(self) -> AsyncRetryPredicate[Any]:
        return RetryPredicate(None, None)


class FixedDelayRetryStrategy(AsyncRetryStrategy[Any]):
    """See AsyncRetryStrategy.fixed_delay. Raises ValueError for numbers that are not positive."""

    def __init__(
        self,
        max_attempts: int,
        backoff_time_millis: int,
        result_predicate: ResultPredicate,
        exception_predicate: ExceptionPredicate,
    ) -> None:
        _positive(max_attempts=max_attempts, backoff_time_millis=backoff_time_millis)
        self._max_attempts = max_attempts
        self._backoff_time_millis = backoff_time_millis
        self._predicate = RetryPredicate(result_predicate, exception_predicate)

    def can_retry(self, current_attempts: int) -> bool:
        return current_attempts <= self._max_attempts

    def get_backoff_time_millis(self, current_attempts: int) -> int:
        return self._backoff_time_millis

    def get_retry_predicate(self) -> AsyncRetryPredicate[Any]:
        return self._predicate


class ExponentialBackoffDelayRetryStrategy(AsyncRetryStrategy[Any]):
    """See AsyncRetryStrategy.exponential_backoff. Raises ValueError for numbers that are not positive.

    Unlike PyFlink's, the delay depends on the attempts of the record alone, not on other records.
    """

    def __init__(
        self,
        max_attempts: int,
        initial_delay: int,
        max_retry_delay: int,
        multiplier: float,
        result_predicate: ResultPredicate,
        exception_predicate: ExceptionPredicate,
    ) -> None:
        _positive(
            max_attempts=max_attempts,
            initial_delay=initial_delay,
            max_retry_delay=max_retry_delay,
            multiplier=multiplier,
        )
        self._max_attempts = max_attempts
        self._initial_delay = initial_delay
        self._max_retry_delay = max_retry_delay
        self._multiplier = multiplier
        self._predicate = RetryPredicate(result_predicate, exception_predicate)

    def can_retry(self, current_attempts: int) -> bool:
        return current_attempts <= self._max_attempts

    def get_backoff_time_millis(self, current_attempts: int) -> int:
        delay = self._initial_delay
        for _ in range(current_attempts - 1):
            following = int(min(delay * self._multiplier, self._max_retry_delay))
            if following == delay:
                break
            delay = following
        return delay

    def get_retry_predicate(self) -> AsyncRetryPredicate[Any]:
        return self._predicate


NO_RETRY_STRATEGY: AsyncRetryStrategy[Any] = NoRetryStrategy()


def empty_result_predicate(result: Any) -> bool:
    """True for no result or an empty one."""
    return result is None or len(result) == 0


def has_exception_predicate(error: Any) -> bool:
    """True for every exception."""
    return error is not None


def exception_type_predicate(error: Any, expected_error_type: type[BaseException]) -> bool:
    """True for exceptions of a class; bind the class with functools.partial or a lambda."""
    return isinstance(error, expected_error_type)


def _positive(**numbers: float) -> None:
    for name, number in numbers.items():
        if number <= 0:
            raise ValueError(f"a retry strategy needs a positive {name}, not {number}")

"""The answer to come of a call to the cluster."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["CompletableFuture"]

T = TypeVar("T")


class CompletableFuture(Generic[T]):
    """Runs `call` in a thread of its own; `result()` waits for it.

    The thread does not keep the program alive.
    """

    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call
        self._finished = threading.Event()
        self._cancelled = False
        self._value: T | None = None
        self._error: BaseException | None = None
        threading.Thread(target=self._run, name="yarnflow-client-call", daemon=True).start()

    def _run(self) -> None:
        try:
            self._value = self._call()
        except BaseException as error:  # whatever it is belongs to whoever asks for the result
            self._error = error
        self._finished.set()

    def cancel(self) -> bool:
        """Stop waiting: `result()` raises from now on. The call itself is not taken back.

        Returns False when there is a result already.
        """
        if self._finished.is_set():
            return self._cancelled
        self._cancelled = True
        self._finished.set()
        return True

    def cancelled(self) -> bool:
        """Whether `cancel` came before the result."""
        return self._cancelled

    def done(self) -> bool:
        """Whether `result()` returns or raises at once."""
        return self._finished.is_set()

    def result(self, timeout: float | None = None) -> T:
        """Wait and return the result; raises what the call raised.

        Raises RuntimeError after `cancel`, and TimeoutError after `timeout` seconds.
        """
        self._wait(timeout)
        if self._cancelled:
            raise RuntimeError("the call was cancelled, it has no result")
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[return-value]

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Wait and return what the call raised, None if nothing."""
        self._wait(timeout)
        return self._error

    def _wait(self, timeout: float | None) -> None:
        if not self._finished.wait(timeout):
            raise TimeoutError(f"no answer after {timeout} s")

    def __str__(self) -> str:
        state = "cancelled" if self._cancelled else "done" if self.done() else "not completed"
        return f"CompletableFuture[{state}]"

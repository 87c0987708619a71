"""Submitting an application: skein's Java driver, for as long as a submission takes.

The JVM takes a second or two to start, so it is started in the background as soon as a submission is likely,
while the client still checks its input and packs files.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from concurrent.futures import wait as wait_for_futures
from pathlib import Path
from typing import Any, TypeVar, cast

from yarnflow.errors import ClusterDeployError, ClusterUnreachableError, ConfigurationError
from yarnflow.yarn.application import ApplicationSpecification
from yarnflow.yarn.hadoop_conf import HadoopConf
from yarnflow.yarn.skein import skein
from yarnflow.yarn.skein.credentials import Credentials, mint
from yarnflow.yarn.skein.specification import to_skein

T = TypeVar("T")

#: A client JVM for one submission: a small heap, no optimising compiler, one thread to collect garbage.
JAVA_OPTIONS = ("-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData")
#: Seconds for the JVM to start on a busy machine.
START_SECONDS = 90.0
#: Seconds for which an interrupted submission may still succeed.
LATE_SECONDS = 10.0
_LOG_TAIL = 2000


class Submitter:
    """skein's driver and the credentials for one application.

    Args:
        conf: the cluster's client configuration.
        java_home: where Java is; "" for JAVA_HOME or the PATH.

    Raises:
        ConfigurationError: there is no `yarn` command on the PATH, or no Java.
    """

    def __init__(self, conf: HadoopConf, java_home: str = "") -> None:
        if shutil.which("yarn") is None:
            raise ConfigurationError(
                "the command `yarn` is not on the PATH: submitting an application needs Hadoop's client. Put its "
                'bin folder on the PATH (for the test cluster: eval "$(yarnflow devcluster env)")'
            )
        home = java_home or os.environ.get("JAVA_HOME", "")
        if not (Path(home, "bin", "java").is_file() if home else shutil.which("java")):
            raise ConfigurationError(
                f"there is no Java {f'in {home}' if home else 'on the PATH'}: submitting an application needs it. "
                "Set env.java.home or JAVA_HOME"
            )
        if home:
            # skein, and the `yarn` script, look there.
            os.environ["JAVA_HOME"] = home
        os.environ.setdefault("HADOOP_CONF_DIR", str(conf.directory))
        descriptor, name = tempfile.mkstemp(prefix="yarnflow-skein-", suffix=".log")
        os.close(descriptor)
        self._log = Path(name)
        self._client: Any = None
        self._closed = False
        self._ready = _in_background(self._start)

    def _start(self) -> Credentials:
        # The driver gets the application's certificate too: one pair to mint, and no shared one.
        credentials = mint()
        self._client = skein().Client(
            security=credentials.to_skein(), log=str(self._log), java_options=list(JAVA_OPTIONS)
        )
        if self._closed:
            self._client.close()
            self._log.unlink(missing_ok=True)
        return credentials

    def submit(
        self, specification: ApplicationSpecification, timeout: float, late: Callable[[str], None]
    ) -> tuple[str, Credentials]:
        """Submit and return the application's id and the credentials to talk to it.

        Args:
            timeout: seconds for HDFS and YARN to take it.
            late: gets the id of an application that YARN took after we gave up or were interrupted.

        Raises:
            ClusterUnreachableError: no answer in time.
            ClusterDeployError: YARN refuses; says why.
        """
        credentials = self._wait(self._ready, START_SECONDS, "skein's Java driver does not start")
        request = to_skein(specification, credentials)
        submitted = _in_background(lambda: cast("str", self._client.submit(request)))
        try:
            return self._wait(submitted, timeout, "YARN or HDFS does not answer"), credentials
        except BaseException:
            # The driver may be about to succeed, and nobody would know of the application.
            done, _ = wait_for_futures([submitted], LATE_SECONDS)
            if done and submitted.exception() is None:
                late(submitted.result())
            raise

    def _wait(self, future: Future[T], timeout: float, what: str) -> T:
        try:
            return future.result(timeout)
        except FutureTimeoutError:
            raise ClusterUnreachableError(f"{what} (waited {timeout:.0f} s).{self._log_tail()}") from None
        except (ClusterDeployError, ConfigurationError):
            raise
        except Exception as error:
            raise ClusterDeployError(
                f"YARN refuses the application: {_message(error)}{self._log_tail()}"
            ) from error

    def _log_tail(self) -> str:
        with contextlib.suppress(OSError):
            text = self._log.read_text(errors="replace").strip()
            if text:
                return f"\nThe end of skein's log:\n{text[-_LOG_TAIL:]}"
        return ""

    def close(self) -> None:
        """End the JVM. Idempotent; does not wait for it: it ends when its standard input is closed."""
        self._closed = True
        client, self._client = self._client, None
        if client is not None:
            _in_background(client.close)
        self._log.unlink(missing_ok=True)

    def __enter__(self) -> Submitter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _in_background(function: Callable[[], T]) -> Future[T]:
    """Run in a daemon thread: unlike an executor's, it never keeps the interpreter from exiting."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(function())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, name="yarnflow-skein", daemon=True).start()
    return future


def _message(error: BaseException) -> str:
    """skein puts Java's exception, stack trace and all, into the text."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    kept = [line for line in lines if not line.startswith("at ")]
    return " ".join(kept) or type(error).__name__

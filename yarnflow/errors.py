"""The errors users and operators meet.

    YarnflowError
    ├── ConfigurationError            an option, flag or file says something we cannot accept
    │   └── MissingDependencyError    an optional package is needed; says which extra installs it
    ├── ProgramError                  the user's program cannot be turned into a job
    │   ├── ProgramMissingError       the program file or module is not there
    │   ├── NoExecuteError            the program ended without calling execute()
    │   ├── SerializationError        a function or value cannot be pickled
    │   └── WrongTypeError            a value is not of the type that the program declares
    ├── JobError                      a job that was submitted
    │   ├── JobSubmissionError        the cluster refused it
    │   ├── JobNotFoundError          no such job id
    │   ├── JobCancelledError         it was cancelled
    │   └── JobFailedError            it failed: carries the user's traceback and the log's tail
    ├── CheckpointError               a checkpoint or savepoint could not be taken, read or used
    │   ├── CheckpointCorruptedError  a file of it is missing or damaged; names the file
    │   ├── RestoreError              it is not there, or does not fit the job that shall start from it
    │   └── UnstorableStateError      state that cannot be stored, however often that is tried
    ├── ClusterError                  the cluster around the job
    │   ├── ClusterUnreachableError   nobody answers at the address
    │   ├── ClusterDeployError        YARN refused or lost the application
    │   ├── ApplicationNotFoundError  no such (running) YARN application
    │   ├── ResourceError             not enough slots, or containers of that size can never be had
    │   └── DevClusterError           the local test cluster cannot start
    ├── FileSystemError               a path on a local or remote file system
    │   ├── FileMissingError          nothing is at the path
    │   ├── FileAlreadyExistsError    something is, and overwriting was not asked for
    │   ├── FilePermissionError       the user may not do that there
    │   ├── PathIsDirectoryError      a directory where a file is needed
    │   └── FileSystemUnreachableError  the NameNode or object store does not answer
    ├── DataFormatError               a record of the input is not what its format says
    └── ProtocolError                 a peer sent what it must not (stale epoch, bad secret, bad frame)

Each carries a *domain* (whose fault) and whether trying again can help. The command line prints
`str(error)` alone, so a message names what happened, to which id, and what to do next.
"""

from __future__ import annotations

from enum import Enum


class Domain(Enum):
    """Whose fault an error is."""

    USER = "user"
    SYSTEM = "system"
    EXTERNAL = "external"


class YarnflowError(Exception):
    """Base of every error raised on purpose."""

    domain: Domain = Domain.SYSTEM
    retryable: bool = False
    #: Exit code of the command line.
    exit_code: int = 1


class ConfigurationError(YarnflowError):
    """An option, flag or file says something that cannot be accepted."""

    domain = Domain.USER


class MissingDependencyError(ConfigurationError):
    """An optional package is needed.

    >>> str(MissingDependencyError("requests-kerberos", "kerberos", "Kerberos REST"))
    "Kerberos REST needs the package requests-kerberos: install it with `pip install 'yarnflow[kerberos]'`"
    """

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs the package {package}: install it with `pip install 'yarnflow[{extra}]'`"
        )
        self.package = package
        self.extra = extra
        self.purpose = purpose

    def __reduce__(self) -> tuple[type[MissingDependencyError], tuple[str, str, str]]:
        return type(self), (self.package, self.extra, self.purpose)


class ProgramError(YarnflowError):
    """The user's program cannot be turned into a job."""

    domain = Domain.USER


class ProgramMissingError(ProgramError):
    """The program file or module is not there."""


class NoExecuteError(ProgramError):
    """The program ended without ever calling execute()."""


class SerializationError(ProgramError):
    """A function or value cannot be pickled, so it cannot be sent to a worker."""


class WrongTypeError(ProgramError, TypeError):
    """A value is not of the type that the program declares."""


class JobError(YarnflowError):
    """A job that was submitted."""


class JobSubmissionError(JobError):
    """The cluster refused the job."""


class JobNotFoundError(JobError):
    """The cluster knows no job of that id."""

    domain = Domain.USER


class JobCancelledError(JobError):
    """The job was cancelled before it finished."""

    domain = Domain.USER


class JobFailedError(JobError):
    """The job failed. `str()` shows the operator, the user's traceback and the failing log's tail."""

    domain = Domain.USER


class CheckpointError(YarnflowError):
    """A checkpoint or savepoint could not be taken, read or used."""


class CheckpointCorruptedError(CheckpointError):
    """A file of a checkpoint or savepoint is missing or damaged; `path` is that file."""

    domain = Domain.EXTERNAL

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(message)
        self.path = path

    def __reduce__(self) -> tuple[type[CheckpointCorruptedError], tuple[str, str]]:
        return type(self), (str(self), self.path)


class RestoreError(CheckpointError):
    """A checkpoint or savepoint is not there, or does not fit the job that shall start from it."""

    domain = Domain.USER


class UnstorableStateError(CheckpointError):
    """State cannot be stored, however often that is tried: it cannot be pickled, or is too large to go inline."""

    domain = Domain.USER


class ClusterError(YarnflowError):
    """The cluster around the job."""

    domain = Domain.EXTERNAL


class ClusterUnreachableError(ClusterError):
    """Nobody answers at the address that should lead to the cluster."""

    retryable = True


class ClusterDeployError(ClusterError):
    """YARN refused the application, or it ended before it ran."""


class ApplicationNotFoundError(ClusterError):
    """No such YARN application, or it is not running any more."""

    domain = Domain.USER


class ResourceError(ClusterError):
    """There are not enough slots, or containers of that size can never be had."""


class DevClusterError(ClusterError):
    """The local test cluster cannot start or stop."""


class FileSystemError(YarnflowError):
    """A path on a local or remote file system cannot be used; `path` is that path, if one is concerned."""

    domain = Domain.EXTERNAL

    def __init__(self, message: str, path: str | None = None) -> None:
        super().__init__(message)
        self.path = path


class FileMissingError(FileSystemError):
    """There is no file or directory at the path."""

    domain = Domain.USER


class FileAlreadyExistsError(FileSystemError):
    """Something is at the path already, and overwriting it was not asked for."""

    domain = Domain.USER


class FilePermissionError(FileSystemError):
    """The user may not do that at the path."""

    domain = Domain.USER


class PathIsDirectoryError(FileSystemError):
    """The path is a directory, and a file is needed."""

    domain = Domain.USER


class FileSystemUnreachableError(FileSystemError):
    """The NameNode or the object store does not answer."""

    retryable = True


class DataFormatError(YarnflowError):
    """A record of the input is not what its format says, or a record cannot be written in the chosen format."""

    domain = Domain.USER


class ProtocolError(YarnflowError):
    """A peer sent what it must not: a stale epoch, a bad secret, a malformed frame."""

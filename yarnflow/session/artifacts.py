"""The files a job ships: `python.files`, `python.requirements`, `python.archives`.

Each becomes an `Artifact` of the job graph, named by its content's hash. Directories are zipped first.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from yarnflow import fs
from yarnflow.config import Configuration
from yarnflow.config.core import PythonOptions
from yarnflow.errors import ProgramMissingError
from yarnflow.graph.job_graph import REQUIREMENTS_PACKAGES, Artifact, ArtifactKind
from yarnflow.session.staging import sha256_of

#: A zip knows no earlier time; a constant one makes equal content an equal archive.
_TIME = (1980, 1, 1, 0, 0, 0)


class ShippedFiles:
    """The artifacts of one configuration, and where each one's file is.

    Use it as a context manager: zipped directories and downloaded files are temporary.

    Args:
        config: with the options above; relative paths are meant from the current directory.

    Raises:
        ProgramMissingError: a file is not there; names the option.
    """

    def __init__(self, config: Configuration) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="yarnflow-artifacts-")
        self._config = config
        self.artifacts: tuple[Artifact, ...] = ()
        #: Local file of each sha256.
        self.files: dict[str, Path] = {}
        try:
            self.artifacts = tuple(self._all())
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Delete temporary files."""
        self._folder.cleanup()

    def __enter__(self) -> ShippedFiles:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _all(self) -> Iterator[Artifact]:
        for text in self._config[PythonOptions.FILES]:
            yield self._artifact(text, "", ArtifactKind.PYTHON_FILE, PythonOptions.FILES.key)
        for text in self._config[PythonOptions.ARCHIVES]:
            source, _, target = text.partition("#")
            yield self._artifact(source, target, ArtifactKind.ARCHIVE, PythonOptions.ARCHIVES.key)
        requirements = self._config[PythonOptions.REQUIREMENTS]
        if requirements:
            source, _, packages = requirements.partition("#")
            key = PythonOptions.REQUIREMENTS.key
            if packages:
                yield self._artifact(packages, REQUIREMENTS_PACKAGES, ArtifactKind.ARCHIVE, key)
            yield self._artifact(source, "", ArtifactKind.REQUIREMENTS, key)

    def _artifact(self, source: str, name: str, kind: ArtifactKind, key: str) -> Artifact:
        path = self._local(source.strip(), key)
        name = name.strip() or path.name
        if path.is_dir():
            name = name if kind is ArtifactKind.ARCHIVE else f"{name}.zip"
            path = self._zipped(path, kind)
        sha256 = sha256_of(path)
        self.files[sha256] = path
        return Artifact(name, kind, sha256, path.stat().st_size)

    def _local(self, source: str, key: str) -> Path:
        scheme, _, _ = fs.split_uri(source)
        if scheme == "file":
            path = Path(fs.split_uri(source)[2])
            if not path.exists():
                raise ProgramMissingError(f"{key}: there is no file or directory {source!r}")
            return path
        files, remote = fs.get(source)
        if files.status(remote) is None:
            raise ProgramMissingError(f"{key}: there is no file {source!r}")
        folder = Path(self._folder.name) / hashlib.sha256(source.encode()).hexdigest()[:16]
        folder.mkdir(exist_ok=True)
        local = folder / os.path.basename(remote)
        files.download(remote, str(local), overwrite=True)
        return local

    def _zipped(self, directory: Path, kind: ArtifactKind) -> Path:
        descriptor, name = tempfile.mkstemp(dir=self._folder.name, suffix=".zip")
        os.close(descriptor)
        target = Path(name)
        # A directory of Python files is put on the path, as PyFlink does; so a package goes in with its own name
        # only when it is what was named: `-pyfs mypackage` makes `import mypackage` work.
        is_package = kind is ArtifactKind.PYTHON_FILE and (directory / "__init__.py").exists()
        zip_directory(directory, target, directory.name if is_package else "")
        return target


def zip_directory(directory: Path, target: Path, inside: str = "") -> None:
    """Zip a directory's files below the folder `inside`; equal content gives an equal archive. Raises OSError.

    Links are followed, but not back to a folder they are in; what is no file (a socket, a pipe, a link to nothing)
    stays behind.
    """
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for folder, folders, names in os.walk(directory, followlinks=True):
            folders[:] = sorted(
                name
                for name in folders
                if name not in ("__pycache__", ".git") and not _leads_back(Path(folder, name), directory)
            )
            for name in sorted(names):
                path = Path(folder, name)
                if not path.is_file():
                    continue
                entry = zipfile.ZipInfo(os.path.join(inside, path.relative_to(directory)), _TIME)
                entry.external_attr = (path.stat().st_mode & 0xFFFF) << 16
                entry.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(entry, path.read_bytes())


def _leads_back(folder: Path, top: Path) -> bool:
    """Whether a link leads to one of the folders that it is in, on the way from `top`."""
    if not folder.is_symlink():
        return False
    above = [parent for parent in folder.parents if parent == top or top in parent.parents]
    return os.path.realpath(folder) in map(os.path.realpath, above)

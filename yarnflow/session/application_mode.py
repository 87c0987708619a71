"""Application mode: ships a program so that its main() runs beside the JobManager."""

from __future__ import annotations

import os
import tempfile
import zipfile
from pathlib import Path

from yarnflow import fs
from yarnflow.config import Configuration
from yarnflow.config.core import CoreOptions, PythonOptions
from yarnflow.config.option import Option
from yarnflow.errors import ProgramMissingError
from yarnflow.session import yarn_config
from yarnflow.session.artifacts import zip_directory
from yarnflow.session.deployment import YarnClusterDescriptor
from yarnflow.session.program import Program
from yarnflow.session.running import YarnCluster
from yarnflow.yarn.deployment import Deployment, Mode
from yarnflow.yarn.layout import USER_CODE


def deploy(descriptor: YarnClusterDescriptor, program: Program, config: Configuration) -> YarnCluster:
    """Deploy an application for a program; returns when its JobManager runs.

    Raises as YarnClusterDescriptor._deploy, and ProgramMissingError for a file that is not there.
    """
    program.check()
    with tempfile.TemporaryDirectory(prefix="yarnflow-application-") as folder:
        archive = Path(folder, "usrlib.zip")
        with UserCode(archive) as code:
            file = code.add(program.file, "program") if program.file else ""
            options = _options(config, code)
            empty = code.empty
        deployment = Deployment(
            Mode.APPLICATION,
            initial_workers=yarn_config.workers_for(config[CoreOptions.DEFAULT_PARALLELISM], config),
            program_file=file,
            program_module=program.module,
            program_arguments=program.arguments,
            program_options=options,
        )
        return descriptor.deploy_application(deployment, None if empty else archive, program.name)


class UserCode:
    """A zip with local files that becomes the container's folder `usrlib`; remote files stay where they are."""

    def __init__(self, path: Path) -> None:
        self._zip = zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1)
        self._folder = path.parent
        self._count = 0
        self.empty = True

    def __enter__(self) -> UserCode:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    def add(self, source: str, key: str) -> str:
        """Add a file or directory and return its path in the container, or the URI if it is remote.

        Raises ProgramMissingError: it is not there; names `key`.
        """
        scheme, _, path = fs.split_uri(source)
        if scheme != "file":
            return source
        local = Path(path)
        if not local.exists():
            raise ProgramMissingError(f"{key}: there is no file or directory {source!r}")
        # Each in a folder of its own: names are kept, and equal ones do not meet.
        place = f"{self._count}/{local.name}"
        self._count += 1
        self.empty = False
        if local.is_dir():
            packed = self._folder / f"{self._count}.zip"
            zip_directory(local, packed)
            with zipfile.ZipFile(packed) as inner:
                for name in inner.namelist():
                    self._zip.writestr(f"{place}/{name}", inner.read(name))
        else:
            self._zip.write(local, place)
        return os.path.join(USER_CODE, place)


def _options(config: Configuration, code: UserCode) -> dict[str, str]:
    """The options that name files, with their places in the container."""
    options = {}
    for option in (PythonOptions.FILES, PythonOptions.ARCHIVES):
        entries = tuple(_moved(entry, option, code) for entry in config[option])
        if entries:
            options[option.key] = option.format(entries)
    requirements = config[PythonOptions.REQUIREMENTS]
    if requirements:
        file, hash_sign, packages = requirements.partition("#")
        key = PythonOptions.REQUIREMENTS.key
        options[key] = code.add(file, key) + (hash_sign + code.add(packages, key) if packages else "")
    return options


def _moved(entry: str, option: Option[tuple[str, ...]], code: UserCode) -> str:
    if option is PythonOptions.ARCHIVES:
        file, hash_sign, target = entry.partition("#")
        return code.add(file, option.key) + hash_sign + target
    return code.add(entry, option.key)

"""Files on the cluster's file system that outlive one application: uploaded once, under their content's hash.

    <staging>/.yarnflow/shared/<sha256>/<name>    environments, libraries: for all of this user's applications
    <staging>/.yarnflow/<application id>/         what one application tells later clients

YARN keeps its local copy of a shared file on every node, so the second application starts without copying it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

from yarnflow import fs
from yarnflow.config import Configuration
from yarnflow.config.yarn import YarnOptions
from yarnflow.errors import FileAlreadyExistsError
from yarnflow.session.user_files import cache_directory, read_json, write_json
from yarnflow.yarn.hadoop_conf import HadoopConf, hadoop_user
from yarnflow.yarn.layout import ADDRESS_FILE

_CHUNK = 1 << 20


class Staging:
    """The staging directory.

    Args:
        config: `yarn.staging-directory` says where; without it the user's home on the default file system.
        conf: names the default file system.
    """

    def __init__(self, config: Configuration, conf: HadoopConf) -> None:
        base = config[YarnOptions.STAGING_DIRECTORY] or f"/user/{hadoop_user()}"
        if "://" not in base:
            base = conf.default_fs + (base if base.startswith("/") else f"/user/{hadoop_user()}/{base}")
        self.root = f"{base.rstrip('/')}/.yarnflow"
        # Where skein puts files of an application, the cluster's secret among them.
        self._skein = f"{conf.default_fs}/user/{hadoop_user()}/.skein"

    def share(self, cache_name: str, fingerprint: str, name: str, build: Callable[[Path], None]) -> str:
        """Return the URI of a shared file, after building and uploading it if that was not done before.

        Args:
            cache_name: of the thing on this machine; its last build is remembered under this name.
            fingerprint: changes whenever a new build would differ.
            name: of the file, with an ending that says how to unpack it.
            build: writes the file; called only when the fingerprint is new or the last build is lost.

        Raises:
            FileSystemError: the cluster's file system cannot be used.
        """
        note_path = cache_directory() / "shared" / f"{cache_name}.json"
        local = cache_directory() / "shared" / f"{cache_name}-{name}"
        note = read_json(note_path)
        if not (isinstance(note, dict) and note.get("fingerprint") == fingerprint and local.is_file()):
            local.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # A folder of its own: another command may build the same at the same time, and either result will do.
            with tempfile.TemporaryDirectory(dir=local.parent, prefix=f".{local.name}-") as folder:
                built = Path(folder) / name
                build(built)
                note = {"fingerprint": fingerprint, "sha256": sha256_of(built), "size": built.stat().st_size}
                built.replace(local)
            write_json(note_path, note)
        return self._upload(local, str(note["sha256"]), int(note["size"]), name)

    def _upload(self, local: Path, sha256: str, size: int, name: str) -> str:
        uri = f"{self.root}/shared/{sha256}/{name}"
        files, path = fs.get(uri)
        found = files.status(path)
        if found is None or found.length != size:
            files.mkdirs(path.rpartition("/")[0])
            # YARN refuses a file that changed after a submission, even into the same content: when two commands
            # upload at the same time, the first one's stays.
            with contextlib.suppress(FileAlreadyExistsError):
                files.upload(str(local), path, overwrite=found is not None)
        return uri

    def jobmanager_url(self, application_id: str) -> str | None:
        """Where the application said that its JobManager is; None when it has not, or nobody can tell."""
        uri = f"{self.root}/{application_id}/{ADDRESS_FILE}"
        files, path = fs.get(uri)
        if files.status(path) is None:
            return None
        with files.open_read(path) as stream:
            document = json.loads(stream.read())
        return str(document["url"])

    def forget(self, application_id: str) -> None:
        """Remove what an application left behind that was killed: its note, and the files it was submitted with.

        skein's ApplicationMaster deletes them as it ends, but has no time to when YARN kills it.

        Raises FileSystemError.
        """
        for folder in (self.root, self._skein):
            files, path = fs.get(f"{folder}/{application_id}")
            files.delete(path, recursive=True)


def sha256_of(path: Path) -> str:
    """Hash a file's content, in memory of one chunk."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()

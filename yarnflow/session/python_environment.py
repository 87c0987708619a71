"""How Python reaches the containers: `yarn.python-environment`.

    auto                       the virtual environment that runs this client, packed
    venv:///path               a virtual environment, packed by venv-pack
    conda://name               a conda environment, packed by conda-pack
    python:///usr/bin/python3  installed on every node; nothing travels
    anything else              an archive that is ready: a local path or a URI

A virtual environment has no interpreter of its own, only a link to it: the same interpreter must be installed at
the same place on the nodes. A conda environment is complete.
"""

from __future__ import annotations

import glob
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from yarnflow.config.yarn import YarnOptions
from yarnflow.errors import ConfigurationError
from yarnflow.session.staging import Staging
from yarnflow.yarn.application import ContainerFile
from yarnflow.yarn.layout import ENVIRONMENT

_ARCHIVES = (".zip", ".tar.gz", ".tgz")
_KEY = YarnOptions.PYTHON_ENVIRONMENT.key
Say = Callable[[str], None]


@dataclass(frozen=True)
class PythonEnvironment:
    """What a container needs to run Python.

    Attributes:
        executable: the interpreter, relative to the container's folder or absolute.
        files: to be put into the container's folder.
    """

    executable: str
    files: dict[str, ContainerFile]


def prepare(uri: str, staging: Staging, say: Say) -> PythonEnvironment:
    """Make an environment ready for containers: pack and upload it if that was not done before.

    Args:
        uri: as described above.
        staging: where shared files are.
        say: is told what takes long.

    Raises:
        ConfigurationError: there is no such environment, or it cannot be packed; says why.
        FileSystemError: it cannot be uploaded.
    """
    if uri == "auto":
        if sys.prefix == sys.base_prefix and not _is_conda(Path(sys.prefix)):
            return _installed(os.path.realpath(sys.executable))
        return _packed(Path(sys.prefix), staging, say)
    kind, _, rest = uri.partition("://")
    if kind == "python":
        return _installed(rest)
    if kind == "venv":
        return _packed(Path(rest), staging, say)
    if kind == "conda":
        return _packed(_conda_prefix(rest), staging, say)
    return _archive(uri, staging)


def _installed(path: str) -> PythonEnvironment:
    if not path.startswith("/"):
        raise ConfigurationError(f"{_KEY}: python:// needs an absolute path, as in python:///usr/bin/python3")
    return PythonEnvironment(path, {})


def _archive(uri: str, staging: Staging) -> PythonEnvironment:
    if not uri.endswith(_ARCHIVES):
        raise ConfigurationError(
            f"{_KEY}: {uri!r} is neither auto, venv://, conda:// or python://, nor an archive "
            f"({', '.join(_ARCHIVES)}, which is what YARN can unpack)"
        )
    if "://" in uri and not uri.startswith("file://"):
        source = uri
    else:
        path = Path(uri.removeprefix("file://"))
        if not path.is_file():
            raise ConfigurationError(f"{_KEY}: there is no file {path}")
        name = "environment" + next(ending for ending in _ARCHIVES if uri.endswith(ending))
        stat = path.stat()
        source = staging.share(
            f"archive-{_short_hash(str(path.resolve()))}",
            f"{stat.st_size}:{stat.st_mtime_ns}",
            name,
            lambda target: copy_file(path, target),
        )
    return _in_container(source)


def copy_file(source: Path, target: Path) -> None:
    """Copy a file's content. Raises OSError."""
    shutil.copyfile(source, target)


def _in_container(source: str) -> PythonEnvironment:
    return PythonEnvironment(
        f"./{ENVIRONMENT}/bin/python", {ENVIRONMENT: ContainerFile(source, archive=True, shared=True)}
    )


def _packed(prefix: Path, staging: Staging, say: Say) -> PythonEnvironment:
    prefix = Path(os.path.abspath(prefix))
    if not (prefix / "bin" / "python").exists():
        raise ConfigurationError(f"{_KEY}: {prefix} is no Python environment: it has no bin/python")
    if _is_conda(prefix):
        pack = _pack_conda
    elif (prefix / "pyvenv.cfg").is_file():
        pack = _pack_venv
    else:
        raise ConfigurationError(
            f"{_KEY}: {prefix} is neither a virtual environment nor a conda environment. Use "
            "python:///path/to/python3 for an interpreter that is installed on the nodes"
        )

    def build(target: Path) -> None:
        say(f"Packing the Python environment {prefix} (once, until it changes)")
        pack(prefix, target)
        say(f"Uploading {target.stat().st_size >> 20} MB to the cluster")

    name = f"env-{_short_hash(str(prefix))}"
    return _in_container(staging.share(name, fingerprint(prefix), "environment.tar.gz", build))


def fingerprint(prefix: Path) -> str:
    """Changes when something is installed, removed or upgraded: by the times of the folders that hold packages.

    Reading every file would take longer than all the rest of a deployment. A file that is edited in place, inside
    an installed package, goes unnoticed.
    """
    digest = hashlib.sha256()
    for folder in sorted(glob.glob(f"{glob.escape(str(prefix))}/lib/python*/site-packages")):
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                # Python writes __pycache__ while it runs: that is no change.
                if entry.name != "__pycache__":
                    digest.update(f"{entry.name}:{_changed(entry)}\n".encode())
    for name in ("pyvenv.cfg", "bin"):
        path = prefix / name
        if path.exists():
            digest.update(f"{name}:{path.stat().st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _changed(entry: os.DirEntry[str]) -> int:
    # The time of a package's folder changes when its __pycache__ is made, so of packages only the
    # .dist-info folder counts, which pip makes anew with each version.
    if entry.is_dir() and not entry.name.endswith((".dist-info", ".egg-info")):
        return 0
    return entry.stat().st_mtime_ns


def _pack_venv(prefix: Path, target: Path) -> None:
    import venv_pack  # not at the top: needed once per environment

    foreign = [path for path in _linked_folders(prefix) if not (Path(path) / "yarnflow").is_dir()]
    if foreign:
        raise ConfigurationError(
            f"{_KEY}: {prefix} has packages that were installed in place (pip install -e) from "
            f"{', '.join(foreign)}: install them without -e, or ship them with -pyfs"
        )
    try:
        with _ours_may_be_linked(venv_pack):
            environment = venv_pack.Env(str(prefix))
            # An editable yarnflow points into this machine's file system; containers get the library instead.
            environment = environment.exclude("*/site-packages/__editable__*yarnflow*").exclude(
                "*/site-packages/easy-install.pth"
            )
            environment.pack(output=str(target), format="tar.gz", compress_level=1, force=True)
    except venv_pack.VenvPackException as error:
        raise ConfigurationError(f"{_KEY}: {prefix} cannot be packed: {error}") from error


@contextmanager
def _ours_may_be_linked(venv_pack: object) -> Iterator[None]:
    """venv-pack refuses every environment with an editable package. Ours is one in a developer's checkout, and
    that is fine, since it is left out; all others were refused before."""
    core = sys.modules["venv_pack.core"]
    check = core.check_no_editable_packages
    core.check_no_editable_packages = lambda context: None  # type: ignore[attr-defined]
    try:
        yield
    finally:
        core.check_no_editable_packages = check  # type: ignore[attr-defined]


def _linked_folders(prefix: Path) -> list[str]:
    """Folders outside of the environment that its .pth files put on the path."""
    found = []
    for file in glob.glob(f"{glob.escape(str(prefix))}/lib/python*/site-packages/*.pth"):
        for line in Path(file).read_text(encoding="utf-8").splitlines():
            line = line.strip()
            if line and not line.startswith(("#", "import ", "import\t")):
                path = os.path.normpath(os.path.join(os.path.dirname(file), line))
                if not path.startswith(f"{prefix}{os.sep}") and os.path.isdir(path):
                    found.append(path)
    return found


def _is_conda(prefix: Path) -> bool:
    return (prefix / "conda-meta").is_dir()


def _conda_prefix(name: str) -> Path:
    if name.startswith("/"):
        return Path(name)
    roots = [os.environ.get("CONDA_PREFIX", ""), os.environ.get("CONDA_ROOT", "")]
    for root in filter(None, roots):
        base = Path(root).parents[1] if Path(root).parent.name == "envs" else Path(root)
        if (base / "envs" / name).is_dir():
            return base / "envs" / name
    conda = shutil.which("conda")
    if conda is None:
        raise ConfigurationError(
            f"{_KEY}: conda://{name} needs the command conda on the PATH, or the path of the environment: "
            "conda:///path/to/environment"
        )
    listed = subprocess.run([conda, "env", "list"], capture_output=True, text=True, check=False, timeout=60)
    for line in listed.stdout.splitlines():
        words = line.split()
        if words and words[0] == name:
            return Path(words[-1])
    raise ConfigurationError(f"{_KEY}: conda knows no environment {name!r}: `conda env list` shows those it knows")


def _pack_conda(prefix: Path, target: Path) -> None:
    conda_pack = shutil.which("conda-pack")
    if conda_pack is None:
        raise ConfigurationError(
            f"{_KEY}: packing the conda environment {prefix} needs conda-pack: conda install conda-pack"
        )
    packed = subprocess.run(
        [
            *(conda_pack, "--prefix", str(prefix), "--output", str(target), "--format", "tar.gz"),
            *("--compress-level", "1", "--force", "--quiet", "--ignore-editable-packages"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if packed.returncode != 0:
        raise ConfigurationError(f"{_KEY}: {prefix} cannot be packed: {packed.stderr.strip()}")


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]

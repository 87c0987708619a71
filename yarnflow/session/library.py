"""The package yarnflow as an archive: containers run the same code as the client that deployed them."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import yarnflow

_PACKAGE = Path(yarnflow.__file__).parent
#: A zip knows no earlier time; a constant one makes equal content an equal archive.
_TIME = (1980, 1, 1, 0, 0, 0)
NAME = "yarnflow.zip"


def fingerprint() -> str:
    """Changes when a file of the package does: by name, size and time, without reading them."""
    digest = hashlib.sha256(sys.version.encode())
    for path in _files():
        stat = path.stat()
        digest.update(f"{path.relative_to(_PACKAGE)}:{stat.st_size}:{stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def build(target: Path) -> None:
    """Write the archive, compiled code beside the sources so that containers need not compile. Raises OSError."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for path in _files():
            name = f"{_PACKAGE.name}/{path.relative_to(_PACKAGE)}"
            content = path.read_bytes()
            archive.writestr(zipfile.ZipInfo(name, _TIME), content)
            if path.suffix == ".py":
                cached = importlib.util.cache_from_source(name)
                archive.writestr(zipfile.ZipInfo(cached, _TIME), _compile(content, name))


def _compile(source: bytes, name: str) -> bytes:
    """A .pyc that is valid whatever the time of the source file is (PEP 552, unchecked hash)."""
    # Not public, and stable since PEP 552; py_compile does the same from and to files only.
    from importlib._bootstrap_external import _code_to_hash_pyc  # type: ignore[attr-defined]

    code = compile(source, name, "exec", dont_inherit=True)
    return bytes(_code_to_hash_pyc(code, importlib.util.source_hash(source), False))


def _files() -> Iterator[Path]:
    for folder, folders, names in os.walk(_PACKAGE):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        for name in sorted(names):
            if not name.endswith((".pyc", "~")):
                yield Path(folder, name)

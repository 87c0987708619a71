"""Files by their content's sha256: what jobs ship to their workers.

A folder; a blob is written under a temporary name and renamed when it is complete and its hash known, so a
reader never sees half of one.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterable
from pathlib import Path

_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


class BlobStore:
    """Blobs in `folder`, which is made when the first one comes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, sha256: str) -> Path | None:
        """The file with that content, or None. Anything but 64 hex digits names no blob."""
        if not _SHA256.fullmatch(sha256):
            return None
        path = self._folder / sha256
        return path if path.is_file() else None

    async def put(self, content: bytes | AsyncIterable[bytes]) -> str:
        """Store content; returns its sha256."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, lambda: self._folder.mkdir(mode=0o700, parents=True, exist_ok=True))
        handle, name = tempfile.mkstemp(dir=self._folder, prefix="incoming-")
        digest = hashlib.sha256()
        try:
            with os.fdopen(handle, "wb") as file:
                if isinstance(content, bytes):
                    digest.update(content)
                    await loop.run_in_executor(None, file.write, content)
                else:
                    async for piece in content:
                        digest.update(piece)
                        await loop.run_in_executor(None, file.write, piece)
            sha256 = digest.hexdigest()
            os.replace(name, self._folder / sha256)
        except BaseException:
            os.unlink(name)
            raise
        return sha256

    def delete(self) -> None:
        """Remove everything; the cluster ends."""
        shutil.rmtree(self._folder, ignore_errors=True)

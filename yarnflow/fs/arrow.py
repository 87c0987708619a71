"""Our file systems for pyarrow: a thin handler without read-ahead.

Columnar readers ask for exactly the ranges they need, so they read by position. pyarrow's handler for fsspec
would do for HDFS and S3 too, but has paths, connections and errors of its own.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.fs as pafs

from yarnflow.errors import FileMissingError, FileSystemError

if TYPE_CHECKING:
    from yarnflow.fs.base import FileStatus, FileSystem


def arrow_file_system(files: FileSystem) -> pafs.FileSystem:
    """A pyarrow file system that reads and writes through ours; its paths are the same."""
    return pafs.PyFileSystem(_Handler(files))


class _Handler(pafs.FileSystemHandler):  # type: ignore[misc]  # pyarrow has no types
    def __init__(self, files: FileSystem) -> None:
        self.files = files

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Handler) and other.files is self.files

    def __hash__(self) -> int:
        return hash(id(self.files))

    def get_type_name(self) -> str:
        return self.files.scheme

    def normalize_path(self, path: str) -> str:
        return path

    def get_file_info(self, paths: list[str]) -> list[Any]:
        return [_info(path, self.files.status(path)) for path in paths]

    def get_file_info_selector(self, selector: Any) -> list[Any]:
        try:
            found = self.files.list(selector.base_dir, selector.recursive)
        except FileMissingError:
            if selector.allow_not_found:
                return []
            raise
        return [_info(each.path, each) for each in found if each.path != selector.base_dir]

    def create_dir(self, path: str, recursive: bool) -> None:
        self.files.mkdirs(path)

    def delete_dir(self, path: str) -> None:
        self.files.delete(path, recursive=True)

    def delete_dir_contents(self, path: str, missing_dir_ok: bool = False) -> None:
        try:
            found = self.files.list(path)
        except FileMissingError:
            if missing_dir_ok:
                return
            raise
        for each in found:
            self.files.delete(each.path, recursive=True)

    def delete_root_dir_contents(self) -> None:
        raise FileSystemError(f"will not delete everything below {self.files.uri('/')}: name a directory", "/")

    def delete_file(self, path: str) -> None:
        if not self.files.delete(path):
            raise FileMissingError(f"no such file: {self.files.uri(path)}; check the path", path)

    def move(self, src: str, dest: str) -> None:
        self.files.rename(src, dest)

    def copy_file(self, src: str, dest: str) -> None:
        with self.files.open_read(src) as reader, self.files.open_write(dest, overwrite=True) as writer:
            while chunk := reader.read(1 << 22):
                writer.write(chunk)

    def open_input_stream(self, path: str) -> Any:
        return pa.PythonFile(self.files.open_read(path), mode="r")

    def open_input_file(self, path: str) -> Any:
        stream = self.files.open_read(path)
        return pa.PythonFile(stream.detach() if isinstance(stream, io.BufferedReader) else stream, mode="r")

    def open_output_stream(self, path: str, metadata: object) -> Any:
        return pa.PythonFile(self.files.open_write(path, overwrite=True), mode="w")

    def open_append_stream(self, path: str, metadata: object) -> Any:
        raise FileSystemError(f"cannot append to {self.files.uri(path)}: write a new file", path)


def _info(path: str, status: FileStatus | None) -> Any:
    if status is None:
        return pafs.FileInfo(path, pafs.FileType.NotFound)
    if status.is_directory:
        return pafs.FileInfo(path, pafs.FileType.Directory, mtime_ns=status.modification_time * 1_000_000)
    return pafs.FileInfo(
        path, pafs.FileType.File, size=status.length, mtime_ns=status.modification_time * 1_000_000
    )

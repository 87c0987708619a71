"""File systems by scheme: one small interface above local files, HDFS and S3.

    from yarnflow import fs

    files, path = fs.get("hdfs:///data/in.txt")
    with files.open_read(path) as stream:
        ...

    base.py          FileSystem (the interface) and FileStatus
    registry.py      URI -> file system; one instance per process, scheme and authority
    local.py         no scheme, `file`
    hdfs.py          `hdfs`, `viewfs`: hdfs-native, a Rust client without a JVM
    object_store.py  `s3`, `s3a`: fsspec
    glob.py          patterns;  arrow.py  hdfs and s3 for pyarrow's columnar readers

Importing this package imports none of pyarrow, fsspec and hdfs_native: they come with the first use.
"""

from yarnflow.fs.base import FileStatus, FileSystem
from yarnflow.fs.registry import file_system, get, initialize, split_uri

__all__ = ["FileStatus", "FileSystem", "file_system", "get", "initialize", "split_uri"]

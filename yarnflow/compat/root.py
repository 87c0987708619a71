"""What `import pyflink` gives in a program that yarnflow runs: an empty package; its parts are
`pyflink.common`, `pyflink.datastream`, `pyflink.metrics` and, for its DataTypes, `pyflink.table`."""

from __future__ import annotations

from yarnflow import __version__

__all__ = ["__version__"]

#: Makes this a package to the import system; modules below it are found by the import hook alone.
__path__: list[str] = []

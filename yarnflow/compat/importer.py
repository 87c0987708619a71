"""The import hook: a finder in front of all others that answers for `pyflink` and everything below it.

The modules it gives are yarnflow's own, not copies: `pyflink.datastream is yarnflow.datastream`, so classes
imported under either name are the same and pickles name yarnflow's modules.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType

from yarnflow.common.missing_names import MISSING_MODULES

#: PyFlink's name -> ours. What lies below follows its parent.
_HOMES = {
    "pyflink": "yarnflow.compat.root",
    "pyflink.common": "yarnflow.common",
    "pyflink.datastream": "yarnflow.datastream",
    "pyflink.metrics": "yarnflow.functions.metrics",
    "pyflink.table": "yarnflow.compat.table",
}
_ROOT = "pyflink"


class _Loader(Loader):
    """Gives the module of another name."""

    def __init__(self, home: str) -> None:
        self._home = home
        self._spec: ModuleSpec | None = None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = importlib.import_module(self._home)
        self._spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        # The import system has put the alias's spec on the module; it must keep its own.
        module.__spec__ = self._spec


class _Finder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != _ROOT and not fullname.startswith(_ROOT + "."):
            return None
        home = home_of(fullname)
        if home is None or find_spec(home) is None:
            raise ModuleNotFoundError(_missing(fullname), name=fullname)
        return ModuleSpec(fullname, _Loader(home), is_package=fullname == _ROOT)


_finder = _Finder()


def install() -> None:
    """Make `import pyflink` give yarnflow's modules in this process. Calling it again changes nothing.

    Modules of a real PyFlink that were imported before stay with whoever has them; later imports get
    yarnflow's.
    """
    if _finder not in sys.meta_path:
        _forget()
        sys.meta_path.insert(0, _finder)


def uninstall() -> None:
    """Undo `install`."""
    if _finder in sys.meta_path:
        sys.meta_path.remove(_finder)
        _forget()


def home_of(name: str) -> str | None:
    """Our module for a name of PyFlink's, whether or not it exists; None for what has no home at all."""
    if name in _HOMES:
        return _HOMES[name]
    parent, _, child = name.rpartition(".")
    if not parent or parent == _ROOT:
        return None
    home = home_of(parent)
    return None if home is None else f"{home}.{child}"


def _forget() -> None:
    for name in [name for name in sys.modules if name == _ROOT or name.startswith(_ROOT + ".")]:
        del sys.modules[name]


def _missing(name: str) -> str:
    if name.startswith("pyflink.table"):
        from yarnflow.compat.table import NOT_THE_TABLE_API  # not at the top: it loads the connectors' types

        return f"No module named {name!r}: {NOT_THE_TABLE_API}"
    if name.startswith("pyflink.datastream.connectors."):
        return (
            f"No module named {name!r}: yarnflow has no such connector, and Flink's own need a JVM. "
            "Those it has are the modules of yarnflow.datastream.connectors"
        )
    if name in MISSING_MODULES:
        return f"No module named {name!r}: it {MISSING_MODULES[name]}"
    return f"No module named {name!r}: yarnflow runs the DataStream API (pyflink.common, pyflink.datastream)"

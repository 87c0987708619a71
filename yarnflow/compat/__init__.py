"""Programs written for PyFlink run unchanged: `import pyflink...` gives yarnflow's modules.

`install()` is called by whatever runs a program or its functions: the command line's `run`, the
application-mode entrypoint, a slot worker. Plain `import yarnflow` never does it, so a PyFlink that is
installed stays what it is everywhere else.

importer.py  the import hook      root.py  what `import pyflink` itself gives
"""

from yarnflow.compat.importer import install, uninstall

__all__ = ["install", "uninstall"]

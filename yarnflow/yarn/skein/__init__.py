"""YARN through skein, which brings the Java side: the only package that imports skein.

`submitter` runs skein's Java driver for a submission, `specification` translates ours into skein's, `application`
talks to a running application, `credentials` keeps each application's certificate, `master_settings` makes the
ApplicationMaster's heartbeats quick. Importing these modules does not import skein; using them does.
"""

from __future__ import annotations

import warnings
from types import ModuleType
from typing import cast


def skein() -> ModuleType:
    """Import skein: 0.15 s, mostly gRPC, so it is not imported before it is needed."""
    with warnings.catch_warnings():
        # It uses distutils.version, which warns, and is gone from Python 3.12 unless setuptools is there.
        warnings.simplefilter("ignore")
        import skein as module

    return cast(ModuleType, module)

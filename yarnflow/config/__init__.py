"""Options declared once, and the configuration that holds their values.

option.py       what an option is            values.py        types: text <-> value
configuration.py  keys and values            <area>.py        the declarations, e.g. `JobManagerOptions`
catalog.py      all declarations together    loader.py        file < environment < -D
render.py       the configuration file and docs/configuration.md, written from the declarations
"""

from yarnflow.config.configuration import Configuration
from yarnflow.config.option import Option, OptionPrefix
from yarnflow.config.values import MemorySize, ValueType

__all__ = ["Configuration", "MemorySize", "Option", "OptionPrefix", "ValueType"]

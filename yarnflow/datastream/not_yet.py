"""PyFlink's names that yarnflow does not have, and what to say to programs that use them.

A program that imports or calls one of them ends with a message that names what is missing, not with an
ImportError or AttributeError that looks like a typing mistake.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from yarnflow.errors import ProgramError

#: What a feature needs -> names of classes in pyflink.datastream and its functions module.
_CLASSES: dict[str, str] = {}
_METHODS: dict[str, str] = {}
#: Modules below pyflink.datastream that belong to the same features.
_MODULES: dict[str, str] = {}
#: They wrap Java classes, and there is no JVM here.
_JAVA = ("SourceFunction", "SinkFunction")


def _feature(names: dict[str, str], name: str) -> str | None:
    return next((feature for feature, list_of in names.items() if name in list_of.split()), None)


def sentence(name: str, feature: str) -> str:
    """What a program is told that uses `name`."""
    return (
        f"{name}: {feature} are not there yet in this version of yarnflow. Run the program with Flink, or write "
        "it without them"
    )


def of_module(name: str) -> str | None:
    """The sentence for a module below pyflink.datastream, None if it is none of these."""
    feature = _feature(_MODULES, name)
    return None if feature is None else sentence(f"pyflink.datastream.{name}", feature)


def missing_class(module: str, name: str) -> Exception:
    """What `module.__getattr__(name)` raises: ImportError for a name that PyFlink has, else AttributeError."""
    if feature := _feature(_CLASSES, name):
        return ImportError(sentence(name, feature), name=module)
    if name in _JAVA:
        return ImportError(
            f"{name} wraps a Java class, and yarnflow runs no JVM. Use from_source() and sink_to() with the "
            "connectors of yarnflow.datastream.connectors",
            name=module,
        )
    return AttributeError(f"module {module!r} has no attribute {name!r}")


class SaysWhatIsMissing:
    """Base of classes that refuse PyFlink's methods they do not have with a sentence that says so."""

    __slots__ = ()

    if not TYPE_CHECKING:  # so that type checkers still see which methods there are

        def __getattr__(self, name: str) -> Any:
            if feature := _feature(_METHODS, name):
                raise ProgramError(sentence(f"{type(self).__name__}.{name}()", feature))
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

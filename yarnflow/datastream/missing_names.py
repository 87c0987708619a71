"""PyFlink's names that yarnflow cannot have, and what to say to programs that import them."""

from __future__ import annotations

#: They wrap Java classes, and there is no JVM here.
_JAVA = ("SourceFunction", "SinkFunction")


def missing_class(module: str, name: str) -> Exception:
    """What `module.__getattr__(name)` raises: ImportError with the reason for a name that PyFlink has, else
    AttributeError."""
    if name in _JAVA:
        return ImportError(
            f"{name} wraps a Java class, and yarnflow runs no JVM. Use from_source() and sink_to() with the "
            "connectors of yarnflow.datastream.connectors",
            name=module,
        )
    return AttributeError(f"module {module!r} has no attribute {name!r}")

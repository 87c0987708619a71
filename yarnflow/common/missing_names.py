"""PyFlink's names that yarnflow cannot have, and what to say to programs that import them."""

from __future__ import annotations

_JAVA = "wraps a Java class, and yarnflow runs no JVM. "
_CONNECTORS = _JAVA + "Use from_source() and sink_to() with the connectors of yarnflow.datastream.connectors"
_OPTIONS = "describes an option of Flink's Java code. Use Configuration.set_string(key, value)"
_CONSTRAINT = "is a remnant that no method of PyFlink takes. Leave it out"

#: Name -> what follows it in the message.
_MISSING = {
    "AssignerWithPeriodicWatermarksWrapper": (
        _JAVA + "Use WatermarkStrategy.for_generator() with a WatermarkGenerator of the program"
    ),
    "AsyncFunctionDescriptor": "is internal to PyFlink. Pass the AsyncFunction itself to AsyncDataStream",
    "BulkWriterFactory": _JAVA + "Use ParquetBulkWriters of yarnflow.datastream.formats.parquet",
    "ConfigOption": _OPTIONS,
    "ConfigOptions": _OPTIONS,
    "InputDependencyConstraint": _CONSTRAINT,
    "RowFieldExtractorSchema": _JAVA + "Map the rows to the field before the sink",
    "SinkFunction": _CONNECTORS,
    "SourceFunction": _CONNECTORS,
}
#: The same for modules.
MISSING_MODULES = {
    "pyflink.common.config_options": _OPTIONS,
    "pyflink.common.input_dependency_constraint": _CONSTRAINT,
    "pyflink.common.io": _JAVA + "Use env.from_source()",
}


def missing_name(module: str, name: str) -> Exception:
    """What `module.__getattr__(name)` raises: ImportError with the reason for a name that PyFlink has, else
    AttributeError."""
    if name in _MISSING:
        return ImportError(f"{name} {_MISSING[name]}", name=module)
    return AttributeError(f"module {module!r} has no attribute {name!r}")

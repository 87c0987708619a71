"""Sources and sinks, under PyFlink's module names; `discard`, `parquet` and `socket` are yarnflow's own."""

from yarnflow.datastream.connectors.base import DeliveryGuarantee, Sink, Source

__all__ = ["DeliveryGuarantee", "Sink", "Source"]

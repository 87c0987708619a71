"""Python dataflows on Hadoop clusters: Flink's architecture in Python, native to YARN."""

__version__ = "0.1.0"

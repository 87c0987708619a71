"""Text from a TCP server."""

from yarnflow.functions.connectors.socket_text import SocketTextSource

__all__ = ["SocketTextSource"]

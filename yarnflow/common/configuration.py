"""`Configuration` under the name programs import it by."""

from yarnflow.config.configuration import Configuration

__all__ = ["Configuration"]

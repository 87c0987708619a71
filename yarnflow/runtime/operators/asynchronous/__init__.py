"""Calling asynchronous functions and waiting for their results."""

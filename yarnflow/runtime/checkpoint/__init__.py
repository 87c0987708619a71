"""Checkpoints and savepoints: the coordinator in the JobManager, what a completed one consists of, where it is."""

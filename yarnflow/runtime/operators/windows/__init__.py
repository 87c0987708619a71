"""Windows on rows: one operator per family, chosen by factory."""

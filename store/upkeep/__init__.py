"""Background upkeep: compaction, indexes, retention."""

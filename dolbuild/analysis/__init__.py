"""Tree to meaning: interfaces, names, visibility, types."""

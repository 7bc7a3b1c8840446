"""Building blocks that two or more systems use."""

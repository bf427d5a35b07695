"""People label a run: what they are shown, in which order, and what becomes of their labels."""

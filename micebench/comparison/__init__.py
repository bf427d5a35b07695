"""Comparisons as people and machines read them: terminal, page, JUnit XML, job summary."""

"""Supervised training of the bundled editors, from rendered sessions alone."""

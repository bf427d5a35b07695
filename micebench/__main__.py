"""``python -m micebench``."""

from micebench.cli import main

main()

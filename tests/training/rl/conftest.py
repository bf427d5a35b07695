"""The tiny pipelines of the editors' tests."""

from tests.editors.conftest import saved, tiny_card

__all__ = ["saved", "tiny_card"]

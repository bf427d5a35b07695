"""diffusers pipelines as editors: a card says which one, at which size, and within which memory."""

from micebench.editors.diffusers.editor import DiffusersEditor
from micebench.editors.diffusers.options import PipelineOptions

__all__ = ["DiffusersEditor", "PipelineOptions"]

"""Libraries that talk while they load a model, kept quiet."""

import logging
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def hush() -> Generator[None, None, None]:
    """No warnings and no bars of diffusers and transformers meanwhile; errors, and bars of downloads, stay.

    What they say is no news to a user (which image processor stands in for which), and bars of seconds tear the
    run's own apart.
    """
    import diffusers.utils.logging as diffusers_logging  # imported first: importing them sets their levels
    import transformers.utils.logging as transformers_logging
    from huggingface_hub.utils import enable_progress_bars

    loggers = [logging.getLogger(name) for name in ("transformers", "diffusers", "huggingface_hub")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    for talking in (diffusers_logging, transformers_logging):
        talking.disable_progress_bar()
    enable_progress_bars()  # transformers has switched off the bars of downloads with its own
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        for talking in (diffusers_logging, transformers_logging):
            talking.enable_progress_bar()

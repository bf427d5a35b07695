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


@contextmanager
def hush_repeats(said: set[str]) -> Generator[None, None, None]:
    """While a pipeline is called: what diffusers warns of input by input is let through once per kind, unquoted.

    It would show the end of every prompt that a text encoder cuts off, at every call. What transformers says of such
    prompts (``will result in indexing errors``) is not true of a pipeline, which cuts them, and is not shown.

    Args:
        said: the kinds so far; is added to.
    """

    def first(record: logging.LogRecord) -> bool:
        if not record.name.startswith("diffusers.") or hasattr(record, "unquoted"):
            return True
        kind = record.getMessage().partition(": [")[0]
        if kind in said:
            return False
        said.add(kind)
        record.msg, record.args = f"{kind} (said once)", ()
        vars(record)["unquoted"] = True  # other handlers get the same record
        return True

    handlers = list(logging.getLogger("diffusers").handlers)
    transformers = logging.getLogger("transformers")
    level = transformers.level
    for handler in handlers:
        handler.addFilter(first)
    transformers.setLevel(logging.ERROR)
    try:
        yield
    finally:
        transformers.setLevel(level)
        for handler in handlers:
            handler.removeFilter(first)

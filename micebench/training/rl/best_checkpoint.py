"""Which checkpoint is kept: looks at validation now and then, with the average of the weights."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from accelerate import Accelerator
from diffusers.training_utils import EMAModel

from micebench.errors import MicebenchError
from micebench.utils.quiet_logging import hush
from micebench.training.rl.policies.diffusion import Policy
from micebench.training.rl.distributed import raise_together
from micebench.training.rl.report import best_reading
from micebench.training.rl.validation import Validation
from micebench.training.common.work_dir import Log


class Selection:
    """Keeps the best of what validation has seen in ``work/best``."""

    def __init__(
        self, accelerator: Accelerator, policy: Policy, ema: EMAModel, validation: Validation | None, work: Path
    ) -> None:
        self._accelerator, self._policy, self._ema = accelerator, policy, ema
        self._validation, self._work = validation, work

    def look(self, iteration: int, log: Log) -> None:
        """Validate, log, and keep the weights if they are the best of the training so far.

        The main process works, all wait. Raises MicebenchError in all of them if it cannot.
        """
        fault = None
        if self._validation is not None and self._accelerator.is_main_process:
            try:
                self._read(self._validation, iteration, log)
            except MicebenchError as error:
                fault = error
        raise_together(self._accelerator, fault)

    def _read(self, validation: Validation, iteration: int, log: Log) -> None:
        with self._averaged():
            reading = validation.read(iteration)
            so_far = [known for known in validation.readings() if known.iteration <= iteration]
            if iteration and best_reading(so_far) == reading:
                self._keep()
        numbers = {f"validation/{name}": value for name, value in reading.numbers.items()}
        log(iteration, {**numbers, "validation/regressed": float(reading.regressed)})

    def result(self) -> Path:
        """The kept weights; without validation the last ones."""
        best = self._work / "best"
        if self._accelerator.is_main_process and (self._validation is None or not best.exists()):
            with self._averaged():
                self._keep()
        self._accelerator.wait_for_everyone()
        return best

    def _keep(self) -> None:
        best, new = self._work / "best", self._work / "best-new"
        shutil.rmtree(new, ignore_errors=True)
        with hush():
            self._policy.save(new)
        shutil.rmtree(best, ignore_errors=True)
        new.rename(best)

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """The policy with the average of its weights."""
        self._ema.store(self._policy.parameters())
        self._ema.copy_to(self._policy.parameters())
        try:
            yield
        finally:
            self._ema.restore(self._policy.parameters())

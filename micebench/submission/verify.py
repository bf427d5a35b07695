"""`verify_bundle`: what a bundle says, checked against the task, the judge and itself."""

import secrets
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from micebench.cards import CardFolders, TaskCard
from micebench.errors import MicebenchError, UnavailableError, described
from micebench.registry.sources import JudgeSource
from micebench.report.formatting import visible
from micebench.sessions import Session
from micebench.submission import card_checks, integrity_checks
from micebench.submission.applicability import check_applicability
from micebench.submission.bundle import Bundle, read_bundle
from micebench.submission.coverage import check_coverage, lacking
from micebench.submission.duplicate_check import check_copies
from micebench.submission.errors import BundleError
from micebench.submission.image_checks import check_images
from micebench.submission.names import check_unlike_accepted
from micebench.submission.rejudge import built, check_rejudged, is_exact, rejudge
from micebench.submission.sampling import EDITED_SHARE, detection_probability, drawn
from micebench.submission.schema import slug
from micebench.submission.session_checks import check_sessions
from micebench.submission.standing import Standing, standing
from micebench.utils.scratch import temporary_folder

Outcome = Literal["passed", "skipped", "failed"]
Mark = Literal["verified", "self-reported"]
NO_JUDGE = "judge not available to the verifier"
"""Why a bundle that passes is self-reported: the one reason for which its verdicts may go unchecked."""
COSTLY_SESSIONS = 20
"""Sessions that a judge with a model judges again, unless told otherwise."""
NAMES: tuple[str, ...] = (
    "archive", "form", "hashes", "cards", "model", "sessions", "units", "seeds", "edit keys", "verdict keys",
    "summary", "coverage", "images", "verdicts", "copies",
)  # fmt: skip
"""The checks, in their order."""


@dataclass(frozen=True)
class Check:
    """One check of a bundle, and what came of it in one line."""

    check: str
    outcome: Outcome
    detail: str


@dataclass(frozen=True)
class Verification:
    """What verifying a bundle has found.

    Attributes:
        path: the bundle.
        bundle: what was read; None if it could not be.
        checks: in the order of `NAMES`.
        summary: ``summary.json`` recomputed from the verdicts; None if it did not come to that.
        verdicts_recomputed, of: verdicts judged again, of those submitted.
        detection_probability: chance that the sessions judged again hold one altered, if `EDITED_SHARE` of them were.
        seed: of the verifier's own sample, where one was drawn.
        sample: sessions asked for; None: the default.
        standing: the number it is ranked by, and what is missing; None if it did not come to that.
    """

    path: Path
    bundle: Bundle | None
    checks: tuple[Check, ...]
    summary: dict[str, Any] | None = field(default=None, repr=False)
    verdicts_recomputed: int = 0
    of: int = 0
    detection_probability: float = 0.0
    seed: str | None = None
    sample: int | None = None
    standing: Standing | None = None

    @property
    def passed(self) -> bool:
        """No check failed."""
        return all(check.outcome != "failed" for check in self.checks)

    @property
    def mark(self) -> Mark:
        """verified: its verdicts were given again here; self-reported: they were not (if it passed: `NO_JUDGE`)."""
        judged = any(check.check == "verdicts" and check.outcome == "passed" for check in self.checks)
        return "verified" if judged and self.passed else "self-reported"

    @property
    def command(self) -> str:
        """The command that makes the same checks of the same sessions."""
        words = ["micebench verify bundle.zip"]
        words += [f"--sample {self.sample}"] if self.sample is not None else []
        words += [f"--seed {self.seed}"] if self.seed is not None else []
        return " ".join(words)


def verify_bundle(
    path: Path | str,
    *,
    data: Path | str | None = None,
    sample: int | None = None,
    seed: str | None = None,
    results: Path | str | None = None,
    cards: CardFolders = (),
) -> Verification:
    """Check a bundle. Nothing in it is believed, and no fault of it raises: whatever goes wrong is a failed check.

    Args:
        path: the zip.
        data: the release's folder, for tasks that need one.
        sample: sessions whose verdicts are given again; None: all that have images for a judge without a model,
            `COSTLY_SESSIONS` for others.
        seed: draws those sessions; None: one that nobody could foresee.
        results: folder of accepted results, among which copies are looked for.
        cards: further card folders.
    """
    path = Path(path)
    try:
        bundle = read_bundle(path)
    except Exception as error:  # noqa: BLE001 (a reader that gives up has not read the bundle, whatever it raised)
        name = error.check if isinstance(error, BundleError) else NAMES[0]
        at = NAMES.index(name)
        passed = [Check(name, "passed", "") for name in NAMES[:at]]
        failed = Check(name, "failed", _said(error))
        return Verification(path, None, (*passed, failed, *_unreached(NAMES[at + 1 :], name)))
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(temporary_folder())
        except (OSError, MicebenchError) as error:
            failed = Check(NAMES[0], "failed", f"no folder for temporary files: {_said(error)}")
            return Verification(path, bundle, (failed, *_unreached(NAMES[1:], NAMES[0])))
        return _Verifying(bundle, data, sample, seed, results, cards, folder).run()


class _Verifying:
    """The checks of a bundle that could be read; each raises what is wrong, or says what is right."""

    def __init__(
        self,
        bundle: Bundle,
        data: Path | str | None,
        sample: int | None,
        seed: str | None,
        results: Path | str | None,
        cards: CardFolders,
        folder: Path,
    ) -> None:
        self.bundle, self.data, self.sample, self.seed = bundle, data, sample, seed
        self.results, self.cards, self.folder = results, cards, folder
        self.recomputed, self.probability = 0, 0.0
        self.drawn_with: str | None = None
        self.standing: Standing | None = None
        self.checks: list[Check] = []

    def run(self) -> Verification:
        steps: dict[str, Callable[[], str]] = {
            "cards": self._cards,
            "model": self._model,
            "sessions": self._sessions,
            "units": lambda: integrity_checks.check_complete(self.bundle),
            "seeds": lambda: integrity_checks.check_seeds(self.bundle),
            "edit keys": lambda: integrity_checks.check_edit_keys(self.bundle, self.indexed),
            "verdict keys": lambda: integrity_checks.check_verdict_keys(self.bundle, self.indexed),
            "summary": lambda: integrity_checks.check_summary(self.bundle.summary, self.summary),
            "coverage": self._coverage,
            "images": lambda: check_images(self.bundle, self.task),
            "verdicts": self._verdicts,
            "copies": self._copies,
        }
        bundle = self.bundle
        checks = self.checks
        checks += [
            Check("archive", "passed", f"{len(bundle.images) + 5:,} members, sha256 {bundle.sha256[:12]}..."),
            Check("form", "passed", "every line is what it should be"),
            Check("hashes", "passed", "every member is what submission.json says"),
        ]
        failed = ""
        for name, step in steps.items():
            # later checks rely on earlier ones; copies and the model's name say nothing about the rest
            checks.append(_unreached([name], failed)[0] if failed else _made(name, step))
            if checks[-1].outcome == "failed" and name != "model":
                failed = name
        return Verification(
            path=bundle.path,
            bundle=bundle,
            checks=tuple(checks),
            summary=self.summary if not failed else None,
            verdicts_recomputed=self.recomputed,
            of=len(bundle.verdicts),
            detection_probability=self.probability,
            seed=self.drawn_with,
            sample=self.sample,
            standing=None if failed else self.standing,
        )

    @cached_property
    def task(self) -> TaskCard:
        return card_checks.known_task(self.bundle.manifest, self.cards)

    @cached_property
    def judge(self) -> JudgeSource:
        return card_checks.known_judge(self.bundle.manifest, self.task, self.cards)

    @cached_property
    def own(self) -> Sequence[Session]:
        from micebench.tasks.load import iter_sessions, load_task

        return list(iter_sessions(load_task(self.task, data=self.data)))

    @cached_property
    def indexed(self) -> integrity_checks.Indexed:
        return integrity_checks.indexed(self.bundle, self.own, self.folder)

    @cached_property
    def summary(self) -> dict[str, Any]:
        return integrity_checks.recomputed(self.bundle, self.indexed)

    def _cards(self) -> str:
        return f"task {self.task.id!r} version {self.task.version} and judge {self.judge.id!r} as they ship"

    def _model(self) -> str:
        manifest, name = self.bundle.manifest, self.bundle.submission.name
        if self.results is not None:
            check_unlike_accepted(name, slug(name), Path(self.results))
        claim = card_checks.known_model(manifest, name, self.task, self.cards)
        if claim == "other":
            raise _Skipped("no card of this name ships: which model made the images is the submitter's word")
        if claim == "unproved":
            raise _Skipped(f"{visible(manifest.model, 80)!r} has no weights here: {card_checks.NOT_PROVED}")
        return f"{visible(manifest.model, 80)!r} as it ships"

    def _sessions(self) -> str:
        check_sessions(self.bundle.sessions, self.own)
        return f"the {len(self.own):,} sessions of {self.task.id!r}, word by word and pixel by pixel"

    def _coverage(self) -> str:
        self.standing = standing(self.summary, integrity_checks.table(self.indexed))
        gaps = lacking(self.indexed.edits, self.indexed.verdicts)
        return check_coverage(self.summary, gaps, exact=is_exact(self.judge))

    def _verdicts(self) -> str:
        try:
            judge = built(self.judge)
        except UnavailableError as error:
            raise _Skipped(f"{NO_JUDGE}: {visible(error, 300)}") from error
        kept, exact = self.bundle.submission.images.sessions, is_exact(judge)
        wanted = self.sample if self.sample is not None else len(kept) if exact else COSTLY_SESSIONS
        chosen = kept
        if wanted < len(kept):
            self.drawn_with = self.seed or secrets.token_hex(8)
            chosen = drawn(kept, wanted, self.drawn_with)
        found = rejudge(self.bundle, self.task, judge, self.own, set(chosen), self.folder / "again")
        said = check_rejudged(found, exact)
        if exact:
            assert judge.instance is not None  # built
            check_applicability(self.bundle, judge.instance, self.own, set(chosen))
        self.recomputed = found.compared
        self.probability = detection_probability(len(self.own), len(chosen))
        return f"{said}; {self.probability:.1%} chance to meet an altered session, if {EDITED_SHARE:.0%} were"

    def _copies(self) -> str:
        if self.results is None:
            raise _Skipped("no folder of accepted results was given")
        shipped = any(check.check == "model" and check.outcome == "passed" for check in self.checks)
        return check_copies(self.bundle, Path(self.results), shipped=shipped)


class _Skipped(Exception):
    """A check that cannot be made here."""


def _made(name: str, step: Callable[[], str]) -> Check:
    try:
        return Check(name, "passed", visible(step(), 600))
    except _Skipped as error:
        return Check(name, "skipped", visible(error, 600))
    except (Exception, SystemExit) as error:  # noqa: BLE001 (what could not be checked has not passed)
        return Check(name, "failed", _said(error))


def _said(error: BaseException) -> str:
    return visible(error if isinstance(error, MicebenchError) else described(error), 600)


def _unreached(names: Sequence[str], failed: str) -> list[Check]:
    return [Check(name, "skipped", f"not reached: {failed} failed") for name in names]

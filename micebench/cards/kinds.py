"""Short names of the editors, judges and session loaders that cards name, so that a card holds no import path.

A card says `editor: diffusers`, `judge: exact` or `loader: mice`. Installed packages add kinds through the entry
point groups ``micebench.editors``, ``micebench.judges`` and ``micebench.loaders``; ``module:attribute`` names code
that is on PYTHONPATH.
"""

from importlib.metadata import entry_points
from typing import Any, Literal

from micebench.cards.resolve import resolve
from micebench.errors import CardError, nearest

Role = Literal["editor", "judge", "loader"]

_BUILT_IN: dict[Role, dict[str, str]] = {
    "editor": {
        "diffusers": "micebench.editors.diffusers:DiffusersEditor",
        "gemini": "micebench.editors.remote.gemini:GeminiEditor",
        "openai-images": "micebench.editors.remote.openai_images:OpenAIImagesEditor",
        "replay": "micebench.editors.replay:Replay",
        "identity": "micebench.editors.scripted:Identity",
        "oracle": "micebench.editors.scripted:Oracle",
        "clumsy": "micebench.editors.scripted:Clumsy",
        "drifting": "micebench.editors.scripted:Drifting",
    },
    "judge": {
        "exact": "micebench.judges.exact.judge:ExactJudge",
        "protocol": "micebench.judges.protocols.protocol_judge:PhotoJudge",
        "score": "micebench.judges.protocols.score_judge:ScoringJudge",
        "perceptual": "micebench.judges.perceptual.judge:PerceptualJudge",
        "ensemble": "micebench.judges.wrappers.ensemble:EnsembleJudge",
        "noisy": "micebench.judges.wrappers.noisy:NoisyJudge",
    },
    "loader": {
        "edival": "micebench.tasks.edival:sessions",
        "imgedit": "micebench.tasks.imgedit:sessions",
        "jsonl": "micebench.tasks.generic:sessions",
        "lme": "micebench.tasks.lme:sessions",
        "magicbrush": "micebench.tasks.magicbrush:sessions",
        "mice": "micebench.tasks.mice:sessions",
        "mini": "micebench.tasks.mini:sessions",
        "mse": "micebench.tasks.mse:sessions",
    },
}
_PATHS_OF_0_1: dict[str, str] = {
    "micebench.editors.diffusers:DiffusersEditor": "diffusers",
    "micebench.editors.gemini:GeminiEditor": "gemini",
    "micebench.editors.openai_images:OpenAIImagesEditor": "openai-images",
    "micebench.editors.replay:Replay": "replay",
    "micebench.editors.scripted:Identity": "identity",
    "micebench.editors.scripted:Oracle": "oracle",
    "micebench.editors.scripted:Clumsy": "clumsy",
    "micebench.editors.scripted:Drifting": "drifting",
    "micebench.judges.exact:ExactJudge": "exact",
    "micebench.judges.photo:PhotoJudge": "protocol",
    "micebench.judges.scoring:ScoringJudge": "score",
    "micebench.judges.perceptual.judge:PerceptualJudge": "perceptual",
    "micebench.judges.ensemble:EnsembleJudge": "ensemble",
    "micebench.judges.noisy:NoisyJudge": "noisy",
    "micebench.tasks.edival:sessions": "edival",
    "micebench.tasks.imgedit:sessions": "imgedit",
    "micebench.tasks.generic:sessions": "jsonl",
    "micebench.tasks.lme:sessions": "lme",
    "micebench.tasks.magicbrush:sessions": "magicbrush",
    "micebench.tasks.mice:sessions": "mice",
    "micebench.tasks.mini:sessions": "mini",
    "micebench.tasks.mse:sessions": "mse",
}
"""What cards named before there were kinds: manifests of old runs, and users' own cards, still say it."""


def kind_of(reference: str) -> str:
    """The kind that an import path of micebench 0.1 stands for; any other reference as it is."""
    return _PATHS_OF_0_1.get(reference, reference)


def resolve_kind(role: Role, reference: str, *, where: str) -> Any:
    """The class (of an editor or judge) or function (of a loader) that a card names; imported only now.

    Args:
        reference: a built-in kind, one of an installed package, or ``module:attribute``.
        where: names the card in the error line.

    Raises:
        CardError: unknown kind (with the nearest), missing module or attribute.
    """
    if ":" in reference:
        return resolve(reference, where=where)
    if reference in _BUILT_IN[role]:
        return resolve(_BUILT_IN[role][reference], where=where)
    installed = {entry.name: entry for entry in entry_points(group=f"micebench.{role}s")}
    if reference not in installed:
        known = nearest(reference, [*_BUILT_IN[role], *installed])
        raise CardError(f"{where}: unknown {role} {reference!r}; {known}; or give module:name for your own")
    return resolve(installed[reference].value, where=where)

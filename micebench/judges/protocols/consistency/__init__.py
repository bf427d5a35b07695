"""Content consistency: what should not have changed, measured against the source image."""

from collections.abc import Sequence

from micebench.judges.protocols.consistency import published, rules_micebench
from micebench.judges.protocols.consistency.image_pair import Pair, contained
from micebench.judges.protocols.consistency.rules import ConsistencyRules
from micebench.judges.runtime.scheduler import Check
from micebench.verdicts import Question, Verdict

__all__ = ["ConsistencyRules", "consistency"]


def consistency(questions: Sequence[Question], rules: ConsistencyRules) -> Check:
    """Answer the ``CC.object`` and ``CC.background`` questions of one turn of one session, in order.

    The two parts are independent: a component that fails for one leaves the other its value.
    """
    protocol = rules_micebench if rules.protocol == "micebench" else published
    pair = Pair.of(questions[0], rules)
    verdicts: list[Verdict] = []
    for question in questions:
        part = protocol.objects if question.metric == "CC.object" else protocol.background
        verdicts.append((yield from contained(part(pair, rules))))
    return verdicts

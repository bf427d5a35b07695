"""Which protocol judges which turn."""

from micebench.errors import one_line
from micebench.instructions import UnparseableInstruction, parse_instruction
from micebench.judges.protocols.following import rules_edival, rules_mice, rules_micebench
from micebench.judges.protocols.following.detections import Scene
from micebench.judges.protocols.following.published_views import Pair
from micebench.judges.protocols.following.rules import CorrectedRules, FollowingRules
from micebench.judges.protocols.following.steps import Asks
from micebench.judges.runtime.scheduler import Check
from micebench.verdicts import Question, Status, Verdict


def follow(question: Question, rules: FollowingRules, asker: Asks) -> Check:
    """Whether the judged turn was carried out: one verdict, in [0, 1] where there is one.

    `not_applicable` where an earlier instruction is asked about and there is none of that number;
    `invalid_annotation` where nothing says what was to be done; a component's failure is its own status.
    """
    if question.about >= question.turn:
        said = f"instruction {question.about} is no earlier one than that of turn {question.turn}"
        return [Verdict.missing(Status.NOT_APPLICABLE, said)]
    turn = question.current
    if "IF" in turn.invalid:
        return [Verdict.missing(Status.INVALID_ANNOTATION, turn.invalid["IF"])]
    if turn.edit_type is None or turn.formatted is None:
        return [Verdict.missing(Status.INVALID_ANNOTATION, f"turn {turn.number} has no bracketed instruction")]
    try:
        edit = parse_instruction(turn.edit_type, turn.formatted)
    except UnparseableInstruction as error:
        return [Verdict.missing(Status.INVALID_ANNOTATION, one_line(error))]
    constants = rules.root
    if isinstance(constants, CorrectedRules):
        step = rules_micebench.follow(Scene(question, constants, asker), edit)
    else:
        protocol = rules_edival if constants.protocol == "edival" else rules_mice
        step = protocol.follow(Pair(question, constants, asker), edit)
    return [(yield from step)]

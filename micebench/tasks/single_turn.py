"""Sessions cut into single turns, each from the reference image before it: what an editor does on clean inputs."""

from collections.abc import Iterator
from dataclasses import replace

from micebench.metrics.exposure import turn_id
from micebench.sessions import ImageFile, Session


def turns_apart(session: Session) -> Iterator[Session]:
    """Turn k as the one-turn session ``<id>.t<k>`` whose source is the reference image of turn k - 1.

    For sessions whose instructions need no past (plain track). A reference that is not there is an absent source.
    """
    before = session.image
    for turn in session.turns:
        yield replace(session, id=turn_id(session.id, turn.number), image=before, turns=(replace(turn, number=1),))
        before = turn.target_image or ImageFile(f"{session.id}: reference image of turn {turn.number}")

"""Shorthands for labelling without a browser."""

from micebench.annotation.human_labels import Asked
from micebench.annotation.labeling_session import Desk, Seat
from micebench.annotation.queue import Choice, make_queue
from micebench.engine.run_reader import Run


def desk_for(run: Run, *, blind: bool = True, **choice) -> Desk:
    return Desk(run, make_queue(run, Choice(**choice)), blind=blind)


def press(desk: Desk, seat: Seat, keys: str) -> Seat:
    """Keys one after the other: answers, and s(kip), b(ack), v (show)."""
    for key in keys:
        seat = desk.act(seat, seat.view, {"s": "skip", "b": "back", "v": "show"}.get(key, key))
    return seat


def answer(desk: Desk, reviewer: str, answers: dict[Asked, str]) -> None:
    """Give these answers and skip everything else."""
    seat = desk.sit_down(reviewer)
    for _ in desk.queue.items:
        if seat.place is None:
            break
        seat = press(desk, seat, answers.get(desk.queue.items[seat.place], "s"))

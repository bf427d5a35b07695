"""With a VLM that agrees to everything, an unchanged image still adds, removes and moves nothing."""

from hypothesis import given, settings
from hypothesis import strategies as st

from micebench.judges.models.base import Box
from tests.judges.protocols.following.world import World, judged

shares = st.floats(0, 1).map(lambda share: round(share, 3))
boxes = st.tuples(shares, shares, shares, shares, st.floats(0.2, 1)).map(
    lambda b: (Box(min(b[0], b[2]), min(b[1], b[3]), max(b[0], b[2]), max(b[1], b[3])), b[4])
)
scenes = st.fixed_dictionaries({name: st.lists(boxes, max_size=6) for name in ("cup", "can")})
ORDERS = [
    ("subject_add", "Add [cup]"),
    ("subject_add", "Add [cup] on the [left] of [can]"),
    ("subject_remove", "Remove [cup]"),
    *(("position_change", f"Change the position of [cup] to [{way}] of [can]") for way in ("left", "below")),
    ("text_change", "Add text '[GO]' on [cup]"),
]


@settings(max_examples=60, deadline=None)
@given(scenes)
def test_nothing_is_done_by_doing_nothing(scene: dict[str, list[tuple[Box, float]]]) -> None:
    for edit_type, order in ORDERS:
        world = World(before=scene, after=scene, says={"newly_added": 1, "removed": 1})
        assert judged("micebench", edit_type, order, world).value in {0, None}, order

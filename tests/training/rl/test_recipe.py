"""A recipe on a base says what differs; what does not fit together is refused with the field's name."""

import pytest

from micebench.cards import find_recipes, recipe_fields, recipe_path
from micebench.errors import CardError
from micebench.training.rl.recipe import load_rl_recipe

SHIPPED = [name for name in find_recipes() if "rollout" in recipe_fields(recipe_path(name))]


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_recipe_is_whole(name):
    assert load_rl_recipe(name).id == name


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_a_base_is_changed_field_by_field(tmp_path):
    path = write(tmp_path / "r.yaml", "id: x\nbase: mt-editflow-nft\nadvantages: {aggregation: product}\n")
    base, changed = load_rl_recipe("mt-editflow-nft"), load_rl_recipe(path)
    assert changed.advantages.aggregation == "product"
    assert changed.advantages.weights == base.advantages.weights
    assert changed.rollout == base.rollout
    assert load_rl_recipe(path, {"seed": 3, "model": None}).seed == 3


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("id: x\nbase: mt-editflow-nft\ngrpo: {}\n", "one method"),
        ("id: x\nbase: mt-editflow-grpo\nrollout: {sampling: {kind: euler, window: 0}}\n", "stochastic steps"),
        ("id: x\nbase: mt-editflow-nft\nrollout: {sampling: {kind: cps, window: 2}}\n", "final images alone"),
        ("id: x\nbase: mt-editflow-nft\nlearn: {lrr: 1}\n", "learn.lrr"),
        ("id: x\nbase: mt-editflow-nft\nnft: {old_policy: fast}\n", "'on_policy', 'slow' or 'slower'"),
        ("id: x\nbase: mt-editflow-nft\nnft: {old_policy: 1.0}\n", "less than 1"),
        ("id: x\nbase: mt-editflow-nft\nadvantages: {aggregation: last, broadcast: false}\n", "broadcast"),
        ("id: x\nbase: nobody\n", "no recipe for 'nobody'"),
        ("- a list\n", "mapping"),
        ("id: [x\n", "YAML"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, text, named):
    with pytest.raises(CardError, match=named) as told:
        load_rl_recipe(write(tmp_path / "r.yaml", text))
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("said", ["slow", 0.9, 0])
def test_an_old_policy_keeps_a_share_or_follows_a_schedule(tmp_path, said):
    path = write(tmp_path / "r.yaml", f"id: x\nbase: mt-editflow-nft\nnft: {{old_policy: {said}}}\n")
    assert load_rl_recipe(path).nft.old_policy == said


def test_a_base_that_leads_back_is_refused(tmp_path):
    one, other = tmp_path / "one.yaml", tmp_path / "other.yaml"
    write(one, f"id: a\nbase: {other}\n")
    write(other, f"id: b\nbase: {one}\n")
    with pytest.raises(CardError, match="leads back"):
        load_rl_recipe(one)

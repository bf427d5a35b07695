"""Every sentence of the embedded world's language, as templates; `language` says and understands them."""

from collections.abc import Mapping

from micebench.instructions import EditType

HINGE = "With this rule active, "
"""Stands between a cm session's rule and its first edit, as in MICE-Bench."""

NUMBERS = ("zero", "one", "two", "three", "four")
BESIDE = {
    "left": ("to the left of", "on the left of", "left of"),
    "right": ("to the right of", "on the right of", "right of"),
    "above": ("above",),
    "below": ("below", "under"),
}
RULES: Mapping[str, tuple[str, ...]] = {
    "color": (
        "From now on, any object that an edit adds or changes must turn {value}, and nothing else may.",
        "Rule for this session: color the object of each edit {value}, never the rest of the picture.",
        "In every edit, also make the edited object {value}; all other things keep their color.",
    ),
    "material": (
        "From now on, any object that an edit adds or changes must be made of {value}, and nothing else may.",
        "Rule for this session: give the object of each edit a {value} surface, never the rest of the picture.",
        "In every edit, also make the edited object out of {value}; all other things keep their material.",
    ),
}
# Edit type, does it refer by pronoun, wordings. {a_target} and {a_value} bring their article with them.
WORDINGS: tuple[tuple[EditType, bool, tuple[str, ...]], ...] = (
    (
        "subject_add",
        False,
        (
            "Add {a_target} {beside} the {anchor}",
            "Place {a_target} {beside} the {anchor}",
            "Put {a_target} {beside} the {anchor}",
        ),
    ),
    ("subject_add", True, ("Add {a_target} there", "Place {a_target} there", "Put {a_target} in that spot")),
    (
        "subject_add",
        False,
        ("Add {a_target}", "Place {a_target} in the scene", "Put {a_target} into the picture"),
    ),
    ("subject_remove", False, ("Remove the {target}", "Delete the {target}", "Take the {target} away")),
    ("subject_remove", True, ("Remove {it}", "Delete {it}", "Take {it} away")),
    (
        "subject_replace",
        False,
        (
            "Replace the {target} with {a_value}",
            "Swap the {target} for {a_value}",
            "Turn the {target} into {a_value}",
        ),
    ),
    (
        "subject_replace",
        True,
        ("Replace {it} with {a_value}", "Swap {it} for {a_value}", "Turn {it} into {a_value}"),
    ),
    (
        "color_alter",
        False,
        (
            "Change the color of the {target} to {color}",
            "Paint the {target} {color}",
            "Make the {target} {color}",
        ),
    ),
    ("color_alter", True, ("Change {its} color to {color}", "Paint {it} {color}", "Make {it} {color}")),
    (
        "material_alter",
        False,
        (
            "Change the material of the {target} to {material}",
            "Make the {target} out of {material}",
            "Give the {target} a {material} surface",
        ),
    ),
    (
        "material_alter",
        True,
        (
            "Change {its} material to {material}",
            "Make {it} out of {material}",
            "Give {it} a {material} surface",
        ),
    ),
    (
        "text_change",
        False,
        (
            "Replace the letter {old} on the {target} with {letter}",
            "Change the letter on the {target} from {old} to {letter}",
        ),
    ),
    (
        "text_change",
        False,
        ("Write the letter {letter} on the {target}", "Put the letter {letter} on the {target}"),
    ),
    (
        "text_change",
        True,
        ("Replace {its} letter {old} with {letter}", "Change {its} letter from {old} to {letter}"),
    ),
    ("text_change", True, ("Write the letter {letter} on {it}", "Put the letter {letter} on {it}")),
    (
        "position_change",
        False,
        ("Shift the {target} {beside} the {anchor}", "Move the {target} {beside} the {anchor}"),
    ),
    ("position_change", True, ("Shift {it} {beside} the {anchor}", "Move {it} {beside} the {anchor}")),
    (
        "count_change",
        False,
        (
            "Change the count of the {target} to {count}",
            "Change the number of {targets} to {count}",
            "There should be {count} {targets}",
        ),
    ),
    ("count_change", True, ("Change {its} count to {count}", "There should be {count} of them")),
    (
        "background_change",
        False,
        (
            "Change the background to {background}{keep}",
            "Set the background to {background}{keep}",
            "Put everything on a {background} background{keep}",
        ),
    ),
)
PRONOUNS = {False: {"it": "it", "its": "its"}, True: {"it": "them", "its": "their"}}

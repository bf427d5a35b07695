"""Object names without the words that an edit may have made untrue."""

_COLORS = """amber aqua beige black blue bronze brown charcoal clear colorful coral cream crimson cyan gold golden
gray green grey indigo ivory khaki lavender lime magenta maroon multi-color multi-colored multicolor multicolored
mustard navy olive orange peach pink purple red reddish-brown rose salmon scarlet silver tan teal transparent
turquoise violet white yellow"""
_MATERIALS = """acrylic aluminum bamboo brass brick canvas cardboard ceramic chitin chrome clay cloth concrete copper
cork cotton crystal denim fabric feather feathered feathers felt fiberglass fleece foam fur furry glass granite ink
iron knit knitted latex leather linen marble mesh metal metallic mosaic nylon paper pearl plaster plastic plush
polyester porcelain rubber satin silk spandex steel stone straw suede synthetic terracotta terrycloth velvet vinyl
wax wicker wood wooden wool woolen wrought"""
_LOOKS = frozenset(_COLORS.split()) | frozenset(_MATERIALS.split())
_BEFORE_LOOKS = frozenset(("and", "bright", "dark", "deep", "light", "pale"))


def bare(name: str) -> str:
    """The name without colour and material words; its last word always stays ("fabric dark blue tie" -> "tie")."""
    words = name.split()
    kept = words[-1:]
    dropped = False
    for word in reversed(words[:-1]):
        plain = word.lower()
        dropped = plain in _LOOKS or (dropped and plain in _BEFORE_LOOKS)
        if not dropped:
            kept.append(word)
    return " ".join(reversed(kept))

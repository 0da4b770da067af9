"""What the garden knows about each species, read from the botanical table in traits.toml."""

import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from flowers_core.garden.petals import Paint, Range, Whorl


@dataclass(frozen=True)
class Form:
    """One colour form of a species.

    petals: one paint for all whorls, or one for each (bearded iris); eye: colours ("#rrggbb") of the centre, as
    its function in `centres`, `heads` or `shaped` lists them.
    """

    petals: tuple[Paint, ...]
    eye: tuple[str, ...] = ()


@dataclass(frozen=True)
class Traits:
    """How a species looks.

    forms: the colours it really has, each as likely as the others.
    whorls: rings of petals from the outermost to the innermost.
    head: the function in `heads` that builds a flower; centre: the one in `centres` for its middle, or "".
    centre_size: scale of the centre, around 1; centre_shape: further arguments of its function.
    habit: how flowers stand, a function in `plants`: "stalk", "spike", "cluster", "umbel", "vine", "twig", "water".
    tilt: degrees between a flower's axis and the line of sight; 90 looks straight up, below 0 nods.
    flowers: fewest and most flowers of a cluster. leaf: the name of its leaf in `leaves`.
    lobes: 0 for a round funnel, 1 for one with five lobes.
    carpet: fewest and most leaves that lie around the foot of a stalk.
    bloom: radius of a spike's flowers, as a share of the spike's; spacing, stand_off: distance between them, and
    from the stem, in flower radii; one_sided: whether the flowers of a spike face the same way.
    """

    forms: tuple[Form, ...]
    whorls: tuple[Whorl, ...] = ()
    head: str = "rosette"
    centre: str = ""
    centre_size: float = 1.0
    centre_shape: dict = field(default_factory=dict)
    habit: str = "stalk"
    tilt: Range = (0, 55)
    flowers: tuple[int, int] = (1, 1)
    leaf: str = "ovate"
    lobes: float = 0.0
    carpet: tuple[int, int] = (0, 0)
    bloom: float = 0.52
    spacing: float = 0.5
    stand_off: float = 0.4
    one_sided: bool = True


def _traits(row: dict) -> Traits:
    shape, paint = row.pop("shape", {}), row.pop("paint", {})
    whorls = tuple(Whorl(**_tuples(shape | whorl)) for whorl in row.pop("whorls", []))
    forms = tuple(_form(paint | form) for form in row.pop("forms"))
    return Traits(forms, whorls, **_tuples(row))


def _form(row: dict) -> Form:
    eye = tuple(row.pop("eye", "").split())
    paints = row.pop("petals", [row])
    return Form(tuple(Paint(**(paint | {"along": tuple(paint["along"].split())})) for paint in paints), eye)


def _tuples(row: dict) -> dict:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in row.items()}


TRAITS: dict[str, Traits] = {
    name: _traits(row)
    for name, row in tomllib.loads(Path(__file__).with_name("traits.toml").read_text(encoding="utf-8")).items()
}

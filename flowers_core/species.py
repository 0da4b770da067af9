"""The 30 default kinds of flowers: their names, their numbers in Flowers-102 and one thing worth knowing."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Species:
    """One kind of flower.

    name: common name as Flowers-102 has it, lower case; also the class folder's name.
    latin: botanical name, a genus where the kind covers several species.
    flowers102: number in Oxford Flowers-102, counted from 1 (torchvision's label is one less).
    also: the name that people rather say, or "".
    note: one sentence of botanical interest.
    """

    name: str
    latin: str
    flowers102: int
    also: str
    note: str


SPECIES: tuple[Species, ...] = (
    Species(
        "anthurium",
        "Anthurium",
        80,
        "flamingo flower",
        "The glossy heart is a single leaf, the spathe; the real flowers are tiny and crowd the spike in front.",
    ),
    Species(
        "azalea",
        "Rhododendron",
        72,
        "",
        "Azaleas are rhododendrons; the dark freckles on the upper petal guide bees towards the nectar.",
    ),
    Species(
        "barbeton daisy",
        "Gerbera jamesonii",
        41,
        "gerbera",
        "Named after Barberton in South Africa; it is a parent of the gerberas in every flower shop.",
    ),
    Species(
        "bearded iris",
        "Iris x germanica",
        68,
        "iris",
        "Three petals stand up, three fall; the fuzzy beard on each fall leads insects under the style arm.",
    ),
    Species(
        "bird of paradise",
        "Strelitzia reginae",
        8,
        "",
        "Sunbirds perch on the blue arrow; their weight opens it and dusts their feet with pollen.",
    ),
    Species(
        "black-eyed susan",
        "Rudbeckia hirta",
        63,
        "",
        "Its dark eye is a cone of hundreds of florets, which open in rings from the bottom to the top.",
    ),
    Species(
        "bougainvillea",
        "Bougainvillea",
        95,
        "",
        "The papery colour comes from three bracts; each holds one small, tube-shaped, creamy flower.",
    ),
    Species(
        "californian poppy",
        "Eschscholzia californica",
        65,
        "",
        "California's state flower shuts its four silky petals at night and on dull days.",
    ),
    Species(
        "carnation",
        "Dianthus caryophyllus",
        31,
        "",
        "Wild carnations have five fringed petals; breeders have turned most stamens into many more.",
    ),
    Species(
        "clematis",
        "Clematis",
        82,
        "",
        "It has no true petals: the coloured stars are sepals, and the vine climbs by twisting its leaf stalks.",
    ),
    Species(
        "common dandelion",
        "Taraxacum officinale",
        50,
        "dandelion",
        "One head is a bouquet of up to two hundred florets, each of which becomes a seed with a parachute.",
    ),
    Species(
        "cyclamen",
        "Cyclamen",
        88,
        "",
        "The flower nods, but its five petals are swept back and up, away from the dark mouth.",
    ),
    Species(
        "daffodil",
        "Narcissus",
        42,
        "",
        "The trumpet is the corona, an extra whorl that grows between the six petals and the stamens.",
    ),
    Species(
        "english marigold",
        "Calendula officinalis",
        5,
        "calendula",
        "Its petals have long coloured butter and cheese, and the heads close when rain is on its way.",
    ),
    Species(
        "foxglove",
        "Digitalis purpurea",
        94,
        "",
        "Bumblebees climb the freckled bells from the bottom up; the heart medicine digitalis was found here.",
    ),
    Species(
        "frangipani",
        "Plumeria",
        81,
        "",
        "Its scent is strongest at night and lures hawk moths, although the flower has no nectar to give.",
    ),
    Species(
        "geranium",
        "Pelargonium / Geranium",
        58,
        "",
        "Window-box geraniums are pelargoniums; their seed pods look like the beaks of storks and cranes.",
    ),
    Species(
        "hibiscus",
        "Hibiscus",
        83,
        "",
        "Stamens and style are joined in one long column; a flower lasts a day or two, the bush for months.",
    ),
    Species(
        "lotus",
        "Nelumbo nucifera",
        78,
        "",
        "It keeps its flower warm, above 30 degrees Celsius, and water rolls off its leaves in beads.",
    ),
    Species(
        "magnolia",
        "Magnolia",
        87,
        "",
        "Magnolias are older than bees: beetles pollinate them, and petals and sepals look the same.",
    ),
    Species(
        "morning glory",
        "Ipomoea",
        76,
        "",
        "Five petals are fused into one funnel that unrolls at dawn and withers on the same day.",
    ),
    Species(
        "oxeye daisy",
        "Leucanthemum vulgare",
        49,
        "",
        "The yellow disc is built of two families of spirals, most often 21 one way and 34 the other.",
    ),
    Species(
        "passion flower",
        "Passiflora",
        77,
        "",
        "A crown of banded threads rings five stamens and three styles, in which friars saw nails and wounds.",
    ),
    Species(
        "petunia",
        "Petunia",
        51,
        "",
        "A cousin of the potato and tobacco; attempts to deepen its purple led to the discovery of RNA silencing.",
    ),
    Species(
        "poinsettia",
        "Euphorbia pulcherrima",
        44,
        "",
        "The red star is made of leaves, which colour when nights grow long; the flowers are the yellow cups.",
    ),
    Species(
        "rose",
        "Rosa",
        74,
        "",
        "Wild roses have five petals; garden roses owe the rest to stamens that turned into petals.",
    ),
    Species(
        "snapdragon",
        "Antirrhinum majus",
        11,
        "",
        "It takes a bee as strong as a bumblebee to push the closed lips open and reach the nectar.",
    ),
    Species(
        "sunflower",
        "Helianthus annuus",
        54,
        "",
        "Young plants follow the sun; the seeds sit in spirals whose numbers are neighbours in Fibonacci's series.",
    ),
    Species(
        "sword lily",
        "Gladiolus",
        43,
        "gladiolus",
        "Named after the gladius, the Roman sword, for its leaves; the spike opens from the bottom up.",
    ),
    Species(
        "water lily",
        "Nymphaea",
        73,
        "",
        "Flowers and pads float on long stalks; breathing pores sit on the upper side of each leaf.",
    ),
)


def find(name: str) -> Species | None:
    """The species with this common, friendlier or Latin name, or None.

    Ignores case, spaces, hyphens and underscores: "Black_eyed  Susan" and "waterlily" are found.
    """
    return _BY_NAME.get(_key(name))


def _key(name: str) -> str:
    return "".join(name.casefold().replace("×", "x").replace("_", " ").replace("-", " ").split())


def _names(species: Species) -> list[str]:
    return [species.name, species.also, *species.latin.split("/"), species.latin]


_BY_NAME = {_key(name): species for species in SPECIES for name in _names(species) if name}

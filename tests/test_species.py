"""The list of the 30 kinds, and how they are found by name."""

import pytest

from flowers_core.species import SPECIES, find

NUMBERS = {
    "anthurium": 80,
    "azalea": 72,
    "barbeton daisy": 41,
    "bearded iris": 68,
    "bird of paradise": 8,
    "black-eyed susan": 63,
    "bougainvillea": 95,
    "californian poppy": 65,
    "carnation": 31,
    "clematis": 82,
    "common dandelion": 50,
    "cyclamen": 88,
    "daffodil": 42,
    "english marigold": 5,
    "foxglove": 94,
    "frangipani": 81,
    "geranium": 58,
    "hibiscus": 83,
    "lotus": 78,
    "magnolia": 87,
    "morning glory": 76,
    "oxeye daisy": 49,
    "passion flower": 77,
    "petunia": 51,
    "poinsettia": 44,
    "rose": 74,
    "snapdragon": 11,
    "sunflower": 54,
    "sword lily": 43,
    "water lily": 73,
}


def test_names_order_and_numbers_are_those_of_flowers_102():
    assert [(s.name, s.flowers102) for s in SPECIES] == list(NUMBERS.items())
    assert list(NUMBERS) == sorted(NUMBERS)


@pytest.mark.parametrize("species", SPECIES, ids=lambda s: s.name)
def test_every_kind_is_described_and_found_by_all_its_names(species):
    assert species.latin[0].isupper()
    assert 80 <= len(species.note) <= 140
    assert species.note.endswith(".")
    for name in (species.name, species.latin, species.also or species.name):
        assert find(name) is species


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Black_Eyed  Susan", "black-eyed susan"),
        ("  SWORD-LILY ", "sword lily"),
        ("Gladiolus", "sword lily"),
        ("gerbera", "barbeton daisy"),
        ("calendula", "english marigold"),
        ("Iris × germanica", "bearded iris"),
        ("pelargonium", "geranium"),
        ("ox-eye daisy", "oxeye daisy"),
    ],
)
def test_find_forgives_spelling(name, kind):
    assert find(name).name == kind


@pytest.mark.parametrize("name", ["", " ", "tulip", "rose bush"])
def test_find_knows_what_it_does_not_know(name):
    assert find(name) is None

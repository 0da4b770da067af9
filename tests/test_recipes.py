"""Each situation has a recipe that can be trained, says why, and stays within a quarter of an hour."""

import pytest

from flowers_core.settings import config, recipes

QUARTER_OF_AN_HOUR = 900 * 140
"""Photos that two cores with bfloat16 instructions train on in it."""


@pytest.mark.parametrize("init", ["imagenet", "scratch", "my/best.safetensors"])
@pytest.mark.parametrize(("photos", "kinds"), [(1, 2), (120, 30), (552, 30), (1918, 30), (8189, 102), (100_000, 30)])
def test_every_situation_has_a_recipe(init: str, photos: int, kinds: int) -> None:
    chosen = config.preset("standard", init, have=(photos, kinds))
    assert chosen.problems() == []
    assert recipes.choose(init, photos, kinds).why
    assert recipes.choose(init, photos, kinds).settings.items() <= config.to_dict(chosen).items()
    if photos < 5_000:
        assert chosen.epochs * photos < QUARTER_OF_AN_HOUR


def test_few_photos_leave_the_convolutions_alone_and_many_teach_them() -> None:
    few, many = (config.preset("standard", have=(30 * n, 30)) for n in (recipes.FEW, recipes.FEW + 1))
    assert few.features_lr == 0
    assert many.features_lr == 1
    assert config.preset("standard", "scratch", have=(120, 30)).features_lr == 1


def test_other_presets_do_not_depend_on_the_photos() -> None:
    for name in config.PRESETS.keys() - {"standard"}:
        assert config.preset(name, have=(120, 30)) == config.preset(name, have=(9000, 30)) == config.preset(name)

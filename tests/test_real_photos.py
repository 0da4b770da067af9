"""The main job on real photos: Oxford Flowers-102's, which are not part of the project (see FLOWERS_PHOTOS)."""

import shutil
from pathlib import Path

import pytest
from test_cli import answer

from flowers_core.sources import open_source

EACH = 8
"""Test photos of each kind that are asked about: all 1,640 take minutes on an old processor."""


@pytest.mark.timeout(600)
def test_five_photos_a_kind_are_learned_well_enough_to_name_unseen_ones(real_photos: Path, tmp_path: Path) -> None:
    trained = answer("train", real_photos / "thirty_by_five", "--init", "imagenet", "--seed", 1, timeout=500)
    source = open_source(real_photos / "flowers30")
    for label, kind in enumerate(source.classes):
        (tmp_path / "asked" / kind).mkdir(parents=True)
        tests = [photo.path for photo in source.photos if (photo.label, photo.split) == (label, "test")]
        for path in tests[:EACH]:
            shutil.copy(path, tmp_path / "asked" / kind)
    found = answer("evaluate", trained["checkpoint"], tmp_path / "asked", "--split", "all")
    assert found["n"] == 30 * EACH
    assert found["top1"] >= 0.70, "0.794 of all test photos"
    assert found["top5"] >= 0.87, "0.93"


def test_flowers102s_official_splits_and_kinds(real_photos: Path) -> None:
    source = open_source(real_photos / "flowers30")
    assert source.counts() == {"train": 278, "valid": 274, "test": 1640}
    assert len(source.classes) == 30
    assert source.split_origin == "Flowers-102"


@pytest.mark.parametrize("name", ["flowers30", "flowers30/flowers-102"])
def test_flowers102_is_found_from_its_folder_and_from_the_one_above(real_photos: Path, name: str) -> None:
    assert len(open_source(real_photos / name).photos) == 2192

"""Oxford Flowers-102 is read with its official labels and splits, complete or not, and damage to it is named."""

import random
import zipfile
from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat, savemat
from source_trees import kinds_of, reasons, splits_of, tree

from flowers_core.errors import DataError
from flowers_core.sources import open_source
from flowers_core.species import SPECIES


def flowers102(root: Path, kinds: int = 30, each: int = 3) -> Path:
    """The layout with `each` photos of some of our kinds and one photo of another kind."""
    numbers = [kind.flowers102 for kind in SPECIES[:kinds] for _ in range(each)] + [1]
    (root / "jpg").mkdir(parents=True)
    for index in range(1, len(numbers) + 1):
        (root / "jpg" / f"image_{index:05}.jpg").write_bytes(b"photo %d" % index)
    indices = np.arange(1, len(numbers) + 1)
    savemat(root / "imagelabels.mat", {"labels": np.array([numbers], np.uint8)})
    savemat(root / "setid.mat", {"trnid": [indices[0::3]], "valid": [indices[1::3]], "tstid": [indices[2::3]]})
    return root


def zip_of(folder: Path, path: Path, prefix: str) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for entry in sorted(folder.rglob("*")):
            file.write(entry, prefix + entry.relative_to(folder).as_posix())
    return path


def test_flowers_102_is_read_from_its_folder_its_parent_and_zips(tmp_path):
    root = flowers102(tmp_path / "flowers-102")
    places = [root, tmp_path, zip_of(root, tmp_path / "1.zip", ""), zip_of(root, tmp_path / "2.zip", "flowers-102/"),
              zip_of(root, tmp_path / "3.zip", "data/flowers-102/")]  # fmt: skip
    for place in places:
        source = open_source(place)
        assert source.classes == tuple(kind.name for kind in SPECIES)
        assert source.counts() == {"train": 30, "valid": 30, "test": 30}
        assert kinds_of(source)["jpg/image_00004.jpg"] == "azalea"
        assert splits_of(source)["jpg/image_00005.jpg"] == "valid"


def test_missing_photos_and_strangers_in_flowers_102_do_no_harm(tmp_path):
    root = flowers102(tmp_path / "flowers-102")
    (root / "jpg/image_00001.jpg").unlink()
    strangers = [
        "image_99999.jpg",
        "image_00000.jpg",
        "image_2.jpg",
        "image_00002 (1).jpg",
        "rose.jpg",
        "image_٠٠٠٠٣.jpg",
    ]
    tree(root / "jpg", *strangers, ".DS_Store")
    source = open_source(root)
    assert len(source.photos) == 89
    assert set(reasons(source)) == {f"jpg/{name}" for name in strangers}


KEYS = ("labels", "trnid", "valid", "tstid")


@pytest.mark.parametrize("name", ["imagelabels.mat", "setid.mat"])
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.unlink(), "is missing"),
        (lambda path: path.write_bytes(b""), "is damaged"),
        (lambda path: path.write_bytes(b"not a mat file" * 50), "is damaged"),
        (lambda path: path.write_bytes(path.read_bytes()[:150]), "is damaged"),
        (lambda path: savemat(path, {"other": [1]}), "not as its authors made them"),
        (lambda path: savemat(path, dict.fromkeys(KEYS, "text")), "not as its authors made them"),
        (lambda path: savemat(path, dict.fromkeys(KEYS, np.nan)), "not whole numbers"),
        (lambda path: savemat(path, dict.fromkeys(KEYS, 1.5)), "not whole numbers"),
        (lambda path: savemat(path, dict.fromkeys(KEYS, -3)), "None of the 30 kinds"),
    ],
    ids=["missing", "empty", "text", "cut off", "other names", "text inside", "not a number", "1.5", "negative"],
)
def test_damaged_label_files_are_named(name, damage, message, tmp_path):
    root = flowers102(tmp_path / "flowers-102")
    damage(root / name)
    with pytest.raises(DataError, match=message) as caught:
        open_source(tmp_path)
    assert "flowers-102" in str(caught.value)
    assert "again" in caught.value.hint


def test_label_files_with_bytes_changed_give_a_data_error_and_nothing_else(tmp_path):
    root = flowers102(tmp_path / "flowers-102")
    whole = (root / "setid.mat").read_bytes()
    for seed in range(60):
        chance = random.Random(seed)
        content = bytearray(whole)
        for _ in range(5):
            content[120 + chance.randrange(len(content) - 120)] = chance.randrange(256)
        (root / "setid.mat").write_bytes(bytes(content))
        try:
            open_source(root)
        except DataError:
            continue


def test_the_official_splits_and_kinds_of_the_real_set(real_photos):
    root = real_photos / "flowers30"
    source = open_source(root)
    assert open_source(root / "flowers-102") == source
    assert source.counts() == {"train": 278, "valid": 274, "test": 1640}
    assert source.classes == tuple(kind.name for kind in SPECIES)
    numbers = loadmat(root / "flowers-102/imagelabels.mat")["labels"][0]
    number_of = {kind.name: kind.flowers102 for kind in SPECIES}
    for name, kind in kinds_of(source).items():
        assert numbers[int(name[-9:-4]) - 1] == number_of[kind], "imagelabels.mat counts photos and kinds from 1"

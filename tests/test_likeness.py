"""Copies and near copies are found, nothing else is, and they stay on one side of the splits that the app makes."""

import itertools
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import draw_set
from PIL import Image

from flowers_core.images import looks
from flowers_core.photos import likeness, problems
from flowers_core.photos.cache import DecodedSource, decode_source
from flowers_core.sources import Photo, SplitPlan, open_source, splits


def decoded(root: Path) -> DecodedSource:
    return decode_source(open_source(root))


def split_of(found: DecodedSource) -> dict[str, str]:
    return {photo.name: photo.split for photo in found.source.photos}


@pytest.fixture
def root(tmp_path):
    """Two kinds with 10 photos each; copies of three roses: the file, one small, one pale and compressed hard."""
    root = draw_set(tmp_path / "set", {"": 10}, kinds=("rose", "sunflower"), size=160)
    shutil.copy(root / "rose/1.jpg", root / "rose/copy 1.jpg")
    with Image.open(root / "rose/2.jpg") as image:
        image.resize((90, 90)).save(root / "rose/copy 2.jpg")
    with Image.open(root / "rose/3.jpg") as image:
        image.point(lambda value: 30 + value * 0.8).save(root / "rose/copy 3.png")
    return root


def test_copies_are_one_group_and_different_photos_none(root):
    groups = likeness.groups(decoded(root))
    assert set(groups) == {
        f"rose/{name}" for n in (1, 2, 3) for name in (f"{n}.jpg", f"copy {n}{'.jpg' if n < 3 else '.png'}")
    }
    assert Counter(Counter(groups.values()).values()) == {2: 3}


def test_runs_of_bits_find_every_pair_within_reach():
    rng = np.random.default_rng(0)
    base = rng.integers(0, 2**63, 300, dtype=np.uint64)
    sizes = [size for size in range(13) for _ in range(20)]
    flips = [sum(1 << int(bit) for bit in rng.choice(63, size, replace=False)) for size in sizes]
    hashes = np.concatenate([base, base[: len(flips)] ^ np.array(flips, np.uint64)])
    every = np.bitwise_count(hashes[:, None] ^ hashes[None]) <= likeness.MOST_BITS
    want = {(a, b) for a, b in np.argwhere(np.triu(every, 1)).tolist() if hashes[a] != hashes[b]}
    found = [np.stack(pair, 1) for pair in likeness._proposed(hashes)]
    pairs = {tuple(sorted(pair)) for pair in np.concatenate(found).tolist()}
    assert {pair for pair in pairs if hashes[pair[0]] != hashes[pair[1]]} <= want
    first = {int(value): i for i, value in reversed(list(enumerate(hashes)))}
    assert {tuple(sorted((first[int(hashes[a])], first[int(hashes[b])]))) for a, b in want} <= pairs


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_a_chain_of_photos_with_one_hash_is_one_group_in_any_order(order):
    """The first and the last are too far apart in colour, the middle one is near both."""
    shapes = np.random.default_rng(0).integers(60, 150, (256, 256, 1), np.uint8)
    shapes = np.broadcast_to(shapes, (256, 256, 3)).copy()
    records = np.array([looks.measure(shapes + np.array([red, 0, 0], np.uint8)) for red in (0, 30, 60)])
    records["grey"] = records["grey"][0]
    left, right = likeness.near_pairs(records[list(order)])
    assert {frozenset((order[a], order[b])) for a, b in zip(left, right, strict=True)} == {
        frozenset((0, 1)),
        frozenset((1, 2)),
    }


def test_of_very_many_with_one_hash_each_stands_beside_one():
    record = looks.measure(np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8))
    records = np.array([record] * (likeness.CROWD + 40))
    left, right = likeness.near_pairs(records)
    assert set(left.tolist()) | set(right.tolist()) == set(range(len(records)))
    assert len(left) == len(records) - 1


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (1, 2, 0)])
def test_of_photos_with_one_hash_copies_are_found_in_any_order(order):
    """Hashes are of grey, and mean colours decide as well."""
    shapes = np.random.default_rng(0).integers(60, 180, (256, 256, 1), np.uint8)
    shapes = np.broadcast_to(shapes, (256, 256, 3)).copy()
    green, red = shapes.copy(), shapes.copy()
    green[..., 1] += 50
    red[..., 0] += 70
    records = np.array([looks.measure(each) for each in (red, green, green)])
    records["grey"] = records["grey"][0]
    found = likeness.near_pairs(records[list(order)])
    assert {frozenset((order[a], order[b])) for a, b in zip(*found, strict=True)} == {frozenset((1, 2))}


def test_what_the_app_calls_a_near_copy_it_never_puts_into_two_splits(tmp_path):
    root = draw_set(tmp_path / "set", {"": 10}, kinds=("rose", "sunflower"), size=160)
    for number in range(1, 11):
        with Image.open(root / f"rose/{number}.jpg") as image:
            image.crop((3, 3, 158, 157)).save(root / f"rose/cropped {number}.jpg")
    found = [finding for finding in problems.find(decoded(root)) if "copies" in finding.problem]
    assert found
    assert not any(finding.crosses for finding in found)


def test_groups_are_saved_and_a_damaged_file_of_them_does_no_harm(root, home, monkeypatch):
    found = decoded(root)
    groups = likeness.groups(found)
    with monkeypatch.context() as patch:
        patch.setattr(likeness, "near_pairs", None)
        assert likeness.groups(found) == groups
    (path,) = (home / "data/cache").rglob("groups.npz")
    path.write_bytes(path.read_bytes()[:60])
    assert likeness.groups(found) == groups


def test_copies_stay_on_one_side_and_kinds_are_still_divided_alike(root):
    for seed in range(12):
        found = decoded(root)
        splits.change(found.source, SplitPlan(seed=seed), likeness.groups(found))
        now = split_of(decoded(root))
        for n, ending in ((1, "jpg"), (2, "jpg"), (3, "png")):
            assert now[f"rose/{n}.jpg"] == now[f"rose/copy {n}.{ending}"]
        count = Counter((name.split("/")[0], split) for name, split in now.items())
        assert count["sunflower", "valid"] == count["sunflower", "test"] == 2
        assert {count["rose", "valid"], count["rose", "test"]} <= {1, 2, 3}
        assert found.source.split_origin == "this app (seed 0)" if seed == 0 else True


def test_the_first_split_of_a_new_set_keeps_copies_together_and_so_does_a_copy_that_is_added(tmp_path):
    root = draw_set(tmp_path / "set", {"": 10}, kinds=("rose", "sunflower"), size=160)
    before = split_of(decoded(root))
    tested = next(name for name, split in before.items() if split == "test")
    for n in range(6):
        shutil.copy(root / tested, root / Path(tested).parent / f"again {n}.jpg")
    after = split_of(decoded(root))
    copies = {after[name] for name in after if "again" in name or name == tested}
    assert len(copies) == 1
    assert {
        name: split for name, split in after.items() if "again" not in name and name != tested
    }.items() <= before.items()
    fresh = tmp_path / "another set"
    shutil.copytree(root, fresh)
    now = split_of(decoded(fresh))
    assert len({now[name] for name in now if "again" in name or name == tested}) == 1
    assert split_of(decoded(fresh)) == now


def test_photos_that_somebody_moved_stay_where_they_were_put(root):
    source = decoded(root).source
    groups = likeness.groups(decoded(root))
    moved = tuple(replace(p, split="test" if p.name == "rose/copy 1.jpg" else p.split) for p in source.photos)
    if moved == source.photos:
        moved = tuple(replace(p, split="train" if p.name == "rose/copy 1.jpg" else p.split) for p in source.photos)
    kept = splits.keep_together(replace(source, photos=moved), groups)
    assert kept.photos == moved


@pytest.mark.parametrize(
    ("plan", "n", "counts"),
    [
        (SplitPlan(valid=0.5, test=0.25), 8, {"train": 2, "valid": 4, "test": 2}),
        (SplitPlan(valid=2, test=1, per_kind=True), 8, {"train": 5, "valid": 2, "test": 1}),
        (SplitPlan(valid=50, test=50, per_kind=True), 8, {"train": 1, "valid": 7}),
        (SplitPlan(valid=0, test=0), 8, {"train": 8}),
        (SplitPlan(valid=0.2, test=0.2, make_test=False), 10, {"train": 8, "valid": 2}),
    ],
)
def test_a_plan_says_how_every_kind_is_divided(plan, n, counts):
    photos = [Photo(f"{label}/{i}.jpg", "x", label, "") for label in range(3) for i in range(n)]
    found = splits.divide(photos, {}, plan)
    for label in range(3):
        assert Counter(split for name, split in found.items() if name[0] == str(label)) == counts


def test_another_seed_is_another_choice_and_the_fingerprint_tells(root):
    found = decoded(root)
    groups = likeness.groups(found)
    plan = SplitPlan(seed=7)
    promised = {photo.name: photo.split for photo in splits.preview(found.source, plan, groups).photos}
    splits.change(found.source, plan, groups)
    now = decoded(root)
    assert split_of(now) == promised != split_of(found)
    assert now.source.plan == plan
    assert now.source.split_origin == "this app (seed 7)"
    assert now.fingerprint != found.fingerprint
    assert decoded(root).fingerprint == now.fingerprint


def test_known_near_copies_of_flowers_102_are_found(real_photos):
    found = decoded(real_photos / "flowers30")
    groups = likeness.groups(found)
    for a, b in ((8067, 8077), (1862, 1887), (1929, 1959)):
        assert groups[f"jpg/image_{a:05}.jpg"] == groups[f"jpg/image_{b:05}.jpg"]
    assert 20 <= len(groups) <= 40

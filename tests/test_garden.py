"""The drawn garden: the same pictures everywhere, thirty kinds that differ, and a data set that only ever grows."""

import functools
import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flowers_core.__main__ import main
from flowers_core.errors import DataError, StorageError
from flowers_core.garden import draw, grow, plot
from flowers_core.garden.traits import TRAITS
from flowers_core.sources import open_source
from flowers_core.species import SPECIES

KINDS = [species.name for species in SPECIES]
ROOT = Path(__file__).resolve().parents[1]


def digest(kind: str, seed: int, size: int) -> str:
    return hashlib.sha256(draw(kind, seed, size).tobytes()).hexdigest()


def features(kind: str, seed: int) -> np.ndarray:
    """A picture as 6x6 blurred colours and the colours' mean and spread: far less than a network sees."""
    pixels = np.asarray(draw(kind, seed, 48), float) / 255
    coarse = pixels.reshape(6, 8, 6, 8, 3).mean(axis=(1, 3))
    middle = pixels[12:36, 12:36].reshape(-1, 3)
    return np.concatenate([coarse.ravel() / 4, middle.mean(axis=0), middle.std(axis=0)])


def test_every_kind_has_traits_and_no_other():
    assert list(TRAITS) == KINDS


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [64, 256])
def test_draws_every_kind(kind, size):
    picture = draw(kind, 3, size)
    assert (picture.mode, picture.size) == ("RGB", (size, size))
    assert np.asarray(picture).std() > 15


def test_the_same_seed_gives_the_same_bytes_in_any_order_and_process():
    kinds = ["rose", "foxglove", "water lily"]
    here = [digest(kind, 11, 96) for kind in kinds]
    assert [digest(kind, 11, 96) for kind in reversed(kinds)] == here[::-1]
    program = (
        "import hashlib; from flowers_core.garden import draw\n"
        f"for kind in {kinds}: print(hashlib.sha256(draw(kind, 11, 96).tobytes()).hexdigest())"
    )
    there = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert there.stdout.split() == here


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_of_a_kind_differ(kind):
    assert len({digest(kind, seed, 32) for seed in range(6)}) == 6


def test_another_size_shows_the_same_scene():
    small = np.asarray(draw("sunflower", 5, 64), float)
    large = np.asarray(draw("sunflower", 5, 256).reduce(4), float)
    assert np.corrcoef(small.ravel(), large.ravel())[0, 1] > 0.9


def test_kinds_differ_but_not_by_colour_alone():
    known = np.array([[features(kind, seed) for seed in range(6)] for kind in KINDS])
    centroids, scale = known.mean(axis=1), known.reshape(-1, known.shape[-1]).std(axis=0)
    asked = np.array([[features(kind, seed) for seed in range(100, 106)] for kind in KINDS])
    distance = (((asked[:, :, None] - centroids) / scale) ** 2).sum(axis=-1)
    accuracy = (distance.argmin(axis=-1) == np.arange(len(KINDS))[:, None]).mean()
    assert 3 / len(KINDS) < accuracy < 0.5


def test_an_unknown_kind_is_named_in_the_error():
    with pytest.raises(ValueError, match=r"'tulip'.*30 kinds such as anthurium"):
        draw("tulip", 0)


def test_grow_writes_the_three_splits(tmp_path):
    calls = []
    grow(tmp_path, train=2, valid=1, test=1, size=32, progress=lambda done, total: calls.append((done, total)))
    for split, count in (("Train", 2), ("Valid", 1), ("Test", 1)):
        assert sorted(p.name for p in (tmp_path / split).iterdir()) == KINDS
        for kind in KINDS:
            names = sorted(p.name for p in (tmp_path / split / kind).iterdir())
            assert names == [f"{kind}-{i + 1:04}.jpg" for i in range(count)]
    assert calls == [(i + 1, 120) for i in range(120)]
    sizes = [Image.open(path).size for path in sorted(tmp_path.rglob("*.jpg"))]
    assert {min(size) for size in sizes} == {32}
    assert len(set(sizes)) > 5
    assert max(max(size) for size in sizes) <= 43
    pictures = [path.read_bytes() for path in tmp_path.rglob("*.jpg")]
    assert len(set(pictures)) == len(pictures), "two splits share a picture"


def test_growing_more_keeps_what_is_there(tmp_path):
    grow(tmp_path, train=1, valid=1, test=0, size=32)
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.rglob("*.jpg")}
    torn = next(iter(before))
    torn.write_bytes(before[torn][0][:200])
    grow(tmp_path, train=2, valid=1, test=1, size=32)
    after = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.rglob("*.jpg")}
    assert len(after) == 120
    assert {path: after[path] for path in before if path != torn} == {p: v for p, v in before.items() if p != torn}
    assert after[torn][0] == before[torn][0], "a torn picture is drawn again"


def test_another_garden_has_other_pictures(tmp_path):
    grow(tmp_path / "a", train=1, valid=0, test=0, size=32, seed=1)
    grow(tmp_path / "b", train=1, valid=0, test=0, size=32, seed=2)
    first, second = ({p.name: p.read_bytes() for p in (tmp_path / name).rglob("*.jpg")} for name in "ab")
    assert first.keys() == second.keys()
    assert all(first[name] != second[name] for name in first)


# The planted garden


def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three kinds at 24 pixels: this is about files."""
    monkeypatch.setattr(plot.garden, "grow", functools.partial(grow, size=24))
    monkeypatch.setattr(sys.modules["flowers_core.garden"], "TRAITS", dict(list(TRAITS.items())[:3]))


def splits(data: str = "garden") -> dict[str, int]:
    return open_source(data).counts()


def test_the_garden_grows_and_shrinks_and_gives_the_same_pictures(monkeypatch, home):
    few(monkeypatch)
    assert splits() == {"train": 12, "valid": 3, "test": 15}
    first = {path: path.read_bytes() for path in plot.root().rglob("*.jpg")}
    plot.grow({"train": 6, "valid": 2, "test": 1})
    assert splits() == {"train": 18, "valid": 6, "test": 3}
    assert all(path.read_bytes() == content for path, content in first.items())
    plot.grow(plot.DEFAULT)
    assert splits() == {"train": 12, "valid": 3, "test": 15}


def test_a_growth_that_is_cut_off_leaves_the_garden_as_it_was(monkeypatch, home):
    few(monkeypatch)
    before = open_source("garden")

    class Stopped(Exception):
        pass

    def stop(done, total):
        if done == 25:
            raise Stopped

    with pytest.raises(Stopped):
        plot.grow({"train": 9, "valid": 1, "test": 5}, stop)
    assert len(list((plot.root() / "Train").rglob("*.jpg"))) > 12
    assert open_source("garden") == before
    plot.grow({"train": 9, "valid": 1, "test": 5})
    assert splits()["train"] == 27


@pytest.mark.parametrize(
    "wanted",
    [{"train": 1}, *({"train": number, "valid": 1, "test": 1} for number in (0, -3, 10**6, 10**4000, 2.5, True, "4"))],
    ids=lambda wanted: str(wanted["train"])[:20],
)
def test_a_garden_that_cannot_be_is_refused(wanted, home):
    with pytest.raises(DataError, match=r"can't grow.*Give 1 to 5,000") as caught:
        plot.grow(wanted)
    assert len(str(caught.value)) < 200


def test_a_garden_that_fills_the_disk_is_refused_and_pictures_that_rest_there_take_no_more_room(monkeypatch, home):
    few(monkeypatch)
    plot.grow({"train": 6, "valid": 1, "test": 1})
    plot.grow({"train": 1, "valid": 1, "test": 1})
    monkeypatch.setattr(plot, "free_megabytes", lambda: 2)
    assert plot.new_pictures({"train": 6, "valid": 2, "test": 1}) == 3
    plot.grow({"train": 6, "valid": 2, "test": 1})
    with pytest.raises(StorageError, match="14,982 new pictures take about 285 MB, and the disk has 2 MB"):
        plot.grow({"train": 5000, "valid": 2, "test": 1})
    assert splits() == {"train": 18, "valid": 6, "test": 3}


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (["0", "1", "1"], "The garden can't grow that: 0 train, 1 valid, 1 test. Give 1 to 5,000 for each"),
        (["-1", "1", "1"], "The garden can't grow that: -1 train"),
        (["1", "1", str(10**9)], "The garden can't grow that: 1 train, 1 valid, 1000000000 test"),
        (["1", "1", "many"], "invalid int value: 'many'"),
        (["1.5", "1", "1"], "invalid int value: '1.5'"),
        (["1", "1"], "expected 3 arguments"),
    ],
)
def test_the_command_line_refuses_odd_numbers_in_one_line_and_draws_nothing(asked, says, home, capsys):
    try:
        code = main(["data", " garden ", "--grow", *asked])
    except SystemExit as end:
        code = end.code
    printed = capsys.readouterr()
    assert (code, printed.out, printed.err.count("\n")) == (2, "", 1)
    assert says in printed.err
    assert not (home / "data" / "garden").exists()


@pytest.mark.parametrize("saved", ["", "[]", '{"train": "4"}', '{"train": -1, "valid": 1, "test": 1}'])
def test_a_damaged_note_of_the_counts_means_the_default(saved, home):
    (home / "data").mkdir(parents=True)
    (home / "data" / "garden.json").write_text(saved)
    assert plot.counts() == plot.DEFAULT

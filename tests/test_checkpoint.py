"""Checkpoints: they say what they are, start other runs, and hostile or damaged ones are refused unopened."""

import json
import os
import pickle
import random
import resource
import shutil
import signal
import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, fields, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from flowers_core.errors import CheckpointError, StorageError
from flowers_core.images.augment import EvalTransform
from flowers_core.network import alexnet, checkpoint, starts
from flowers_core.network.alexnet import build
from flowers_core.network.checkpoint import Card, find_checkpoints, load, load_state, read_card, save, save_state
from flowers_core.network.starts import start_weights

ROOT = Path(__file__).parent.parent
KINDS = ("anthurium", "rose", "Ü 🌹")
CARD = Card(
    "2014", KINDS, asdict(EvalTransform()), {"lr": 0.02}, {"data": "set", "fingerprint": "ab", "counts": {"train": 4}},
    {"valid_accuracy": 0.5, "valid_n": 6, "valid_loss": 1.25, "epoch": 3}, {"python": "3"},
)  # fmt: skip


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hidden layers of 8 instead of 4096: the same file in every way, a hundredth of the size."""
    monkeypatch.setattr(alexnet, "HIDDEN", 8)


def network(variant: str = "2014", classes: int = 3, seed: int = 1) -> alexnet.AlexNet:
    torch.manual_seed(seed)
    return build(variant, classes)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a sound checkpoint."""
    path = tmp_path_factory.mktemp("sound") / "best.safetensors"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(alexnet, "HIDDEN", 8)
        save(path, checkpoint.shrink(network()), CARD)
    return path.read_bytes()


@pytest.fixture
def path(tmp_path: Path, sound: bytes) -> Path:
    (tmp_path / "best.safetensors").write_bytes(sound)
    return tmp_path / "best.safetensors"


def split_header(content: bytes) -> tuple[dict, bytes]:
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def with_header(header: object, body: bytes) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def edit_card(content: bytes, change: Callable[[dict], object]) -> bytes:
    header, body = split_header(content)
    card = json.loads(header["__metadata__"]["card"])
    change(card)
    header["__metadata__"]["card"] = json.dumps(card)
    return with_header(header, body)


def assert_refused(path: Path, match: str = "") -> None:
    """By everything that opens a checkpoint, and with a way out."""
    for use in (load, lambda p: start_weights(network(), str(p))):
        with pytest.raises(CheckpointError, match=match) as caught:
            use(path)
        assert str(path) in str(caught.value)
        assert caught.value.hint


# What is saved


@pytest.mark.parametrize("variant", alexnet.VARIANTS)
def test_what_is_saved_is_loaded(variant, tmp_path):
    original = network(variant)
    card = replace(CARD, variant=variant)
    save(tmp_path / "a.safetensors", checkpoint.shrink(original), card)
    loaded, read = load(tmp_path / "a.safetensors")
    assert read == read_card(tmp_path / "a.safetensors")
    assert json.dumps(asdict(read)) == json.dumps(asdict(card))
    assert read.eval_transform() == EvalTransform()
    assert not loaded.training
    for name, weight in original.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], weight.half().float())
    images = torch.randn(2, 3, 224, 224)
    assert torch.allclose(loaded(images), original.eval()(images), atol=2e-3)


def test_a_full_size_checkpoint_takes_half_of_its_weights_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(alexnet, "HIDDEN", 4096)
    with torch.device("meta"):
        empty = alexnet.AlexNet("2014", 30)
    weights = {name: torch.full(tensor.shape, 0.5, dtype=torch.float16) for name, tensor in empty.state_dict().items()}
    save(tmp_path / "a.safetensors", weights, replace(CARD, classes=tuple(map(str, range(30)))))
    assert (tmp_path / "a.safetensors").stat().st_size == pytest.approx(114.3e6, rel=0.01)
    loaded, _ = load(tmp_path / "a.safetensors")
    assert all((weight == 0.5).all() for weight in loaded.state_dict().values())


def test_a_card_is_read_without_torch_and_without_the_weights(path):
    os.truncate(path, path.stat().st_size - 1000)
    code = f"""if True:
        import sys
        from pathlib import Path
        from flowers_core.network.checkpoint import read_card
        print(read_card(Path({str(path)!r})).classes)
        sys.exit("torch" in sys.modules)
    """
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, str(KINDS))


def test_what_a_card_may_say_of_its_transform_is_what_the_transform_and_the_settings_know():
    assert set(CARD.transform) == {field.name for field in fields(EvalTransform)}
    for views in checkpoint._VIEWS:
        assert (
            EvalTransform(views=views) == replace(CARD, transform=asdict(EvalTransform(views=views))).eval_transform()
        )


def test_a_failed_save_keeps_the_old_checkpoint(path, sound, monkeypatch):
    with pytest.raises(StorageError, match="Could not write"):
        save(Path("/proc/nowhere/a.safetensors"), checkpoint.shrink(network()), CARD)
    monkeypatch.setattr(os, "fsync", lambda handle: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(StorageError, match=r"No space left.*Free some space"):
        save(path, checkpoint.shrink(network(seed=2)), CARD)
    with pytest.raises(StorageError, match=r"No space left.*Free some space"):
        save_state(path, {"step": 1})
    assert path.read_bytes() == sound
    assert [entry.name for entry in path.parent.iterdir() if "best" in entry.name] == ["best.safetensors"]


def test_a_disk_that_fills_up_while_writing_is_explained(path, sound):
    """A real one: the system lets files grow to 100 kB only."""
    weights = checkpoint.shrink(network(seed=2))
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1][1]))
    try:
        with pytest.raises(StorageError, match="Free some space"):
            save(path, weights, CARD)
        with pytest.raises(StorageError, match="Free some space"):
            save_state(path, weights)
    finally:
        signal.signal(signal.SIGXFSZ, before[0])
        resource.setrlimit(resource.RLIMIT_FSIZE, before[1])
    assert path.read_bytes() == sound


# Hostile and damaged files


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, place: Path):
        self.place = str(place)

    def __reduce__(self):
        return (open, (self.place, "w"))


def bombs(trap: Path) -> dict[str, bytes]:
    torch.save({"state_dict": Bomb(trap)}, trap.with_suffix(".torch"))
    return {"pickle": pickle.dumps(Bomb(trap)), "torch": trap.with_suffix(".torch").read_bytes()}


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("kind", ["pickle", "torch"])
@pytest.mark.parametrize("ending", [".pt", ".pth", ".PTH", ".pkl", ".ckpt", ".bin", ".safetensors", ""])
def test_pickles_are_refused_unopened_whatever_their_name(kind, ending, tmp_path):
    trap = tmp_path / "trap"
    path = tmp_path / f"model{ending}"
    path.write_bytes(bombs(trap)[kind])
    assert_refused(path, "so they are refused" if ending not in (".safetensors", "") else "not a checkpoint")
    with pytest.raises(CheckpointError, match="can't be read"):
        load_state(path)
    assert not trap.exists()


@pytest.mark.timeout(30)
def test_what_is_no_checkpoint_is_refused_with_its_reason(tmp_path):
    (tmp_path / "empty.safetensors").touch()
    (tmp_path / "text.safetensors").write_text("<html>404</html>" * 9)
    (tmp_path / "zeros.safetensors").write_bytes(bytes(1000))
    (tmp_path / "folder.safetensors").mkdir()
    (tmp_path / "dangling.safetensors").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe.safetensors")
    for name, reason in {
        "empty.safetensors": "not a checkpoint, or it is damaged",
        "text.safetensors": "not a checkpoint, or it is damaged",
        "zeros.safetensors": "not a checkpoint, or it is damaged",
        "folder.safetensors": "This is a folder",
        "dangling.safetensors": "There is no such checkpoint",
        "missing.safetensors": "There is no such checkpoint",
        "text.safetensors/below": "There is no such checkpoint",
        "pipe.safetensors": "not a plain file",
        "x" * 300: "not a checkpoint",
    }.items():
        assert_refused(tmp_path / name, reason)
    assert_refused(Path("/dev/zero"), "not a plain file")


def test_imagenets_features_say_that_they_have_no_card():
    with pytest.raises(CheckpointError, match="without a card"):
        load(checkpoint.shipped_dir() / starts.IMAGENET_FEATURES)
    assert start_weights(build("2014", 3), "imagenet") is False


HEADERS = {
    "empty": b"",
    "not JSON": b"{'a': 1}",
    "a list": b"[1, 2]",
    "null": b"null",
    "very deep": b"[" * 100_000,
    "a number without end": b"9" * 10_000,
    "broken text": b'{"\xff\xfe": 1}',
    "no metadata": lambda header: header.pop("__metadata__"),
    "metadata null": lambda header: header.update(__metadata__=None),
    "metadata as text": lambda header: header.update(__metadata__="card"),
    "metadata as a list": lambda header: header.update(__metadata__=["card"]),
    "card null": lambda header: header["__metadata__"].update(card=None),
    "card as a table": lambda header: header["__metadata__"].update(card={"variant": "2014"}),
    "card not JSON": lambda header: header["__metadata__"].update(card="{"),
    "card very deep": lambda header: header["__metadata__"].update(card="[" * 100_000),
    "card a list": lambda header: header["__metadata__"].update(card="[]"),
    "card a number": lambda header: header["__metadata__"].update(card="7"),
    "format as a word": lambda header: header["__metadata__"].update(format="new"),
    "format null": lambda header: header["__metadata__"].update(format=None),
    "format newer": lambda header: header["__metadata__"].update(format="2"),
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_damaged_header_is_refused_and_not_listed(name, sound, home):
    damage = HEADERS[name]
    header, body = split_header(sound)
    path = home / "checkpoints" / "runs" / "1" / "best.safetensors"
    path.parent.mkdir(parents=True)
    if callable(damage):
        damage(header)
    path.write_bytes(with_header(header if callable(damage) else damage, body))
    assert_refused(path, "newer version.*Update" if name == "format newer" else "damaged|without a card")
    assert path not in find_checkpoints()
    shutil.copytree(path.parent, path.parent.with_name("2"))
    (path.parent.with_name("2") / "best.safetensors").write_bytes(sound)
    assert find_checkpoints()[0] == path.parent.with_name("2") / "best.safetensors"


def transform(**changes: object) -> Callable[[dict], object]:
    return lambda card: card["transform"].update(changes)


CARDS = {
    "no variant": lambda card: card.pop("variant"),
    "no classes": lambda card: card.pop("classes"),
    "no transform": lambda card: card.pop("transform"),
    "an unknown field": lambda card: card.update(extra=1),
    "an unknown variant": lambda card: card.update(variant="2020"),
    "a variant as a number": lambda card: card.update(variant=2014),
    "a variant as a list": lambda card: card.update(variant=["2014"]),
    "classes as text": lambda card: card.update(classes="abc"),
    "classes null": lambda card: card.update(classes=None),
    "classes as numbers": lambda card: card.update(classes=[1, 2, 3]),
    "classes as a table": lambda card: card.update(classes={"a": 1, "b": 2, "c": 3}),
    "no class": lambda card: card.update(classes=[]),
    "a class twice": lambda card: card.update(classes=["a", "a", "b"]),
    "results as text": lambda card: card.update(results="good"),
    "accuracy as text": lambda card: card.update(results={"valid_accuracy": "high"}),
    "accuracy not a number": lambda card: card.update(results={"valid_accuracy": float("nan")}),
    "accuracy without end": lambda card: card.update(results={"valid_accuracy": 10**400}),
    "folds as text": lambda card: card.update(results={"folds": "five"}),
    "a rejection without a threshold": lambda card: card.update(rejection={"score": "kinds", "energy": 0.0}),
    "a weight of logits as text": lambda card: card.update(rejection={"threshold": 0.0, "logit_weight": "much"}),
    "data null": lambda card: card.update(data=None),
    "counts as a list": lambda card: card.update(data={"counts": [1]}),
    "config as a list": lambda card: card.update(config=[]),
    "made with nothing": lambda card: card.update(made_with=None),
    "transform as text": lambda card: card.update(transform="scales"),
    "transform empty": lambda card: card.update(transform={}),
    "an unknown key": transform(zoom=2),
    "size 0": transform(size=0),
    "size 10": transform(size=10),
    "size below zero": transform(size=-224),
    "size huge": transform(size=10**9),
    "size as a fraction": transform(size=224.5),
    "size as text": transform(size="224"),
    "size true": transform(size=True),
    "size null": transform(size=None),
    "window 0": transform(window=0),
    "window huge": transform(window=1e9),
    "window as text": transform(window="all"),
    "window not a number": transform(window=float("nan")),
    "unknown views": transform(views="hundred"),
    "views as a list": transform(views=["centre"]),
    "zero std": transform(std=[0.2, 0.0, 0.2]),
    "negative std": transform(std=[0.2, -1.0, 0.2]),
    "tiny std": transform(std=[1e-40, 1.0, 1.0]),
    "two means": transform(mean=[0.5, 0.5]),
    "mean as a number": transform(mean=0.5),
    "mean as text": transform(mean="abc"),
    "mean without end": transform(mean=[float("inf"), 0.5, 0.5]),
    "mean huge": transform(mean=[1e300, 0.5, 0.5]),
}


@pytest.mark.parametrize("name", CARDS)
def test_a_card_that_cannot_be_right_is_refused(name, tmp_path, sound):
    path = tmp_path / "best.safetensors"
    path.write_bytes(edit_card(sound, CARDS[name]))
    with pytest.raises(CheckpointError, match="card is damaged"):
        read_card(path)
    assert_refused(path, "card is damaged")


def test_the_smallest_size_that_a_card_may_name_works_in_every_variant():
    smallest = checkpoint.INPUT_SIZES[0]
    for variant in alexnet.VARIANTS:
        assert network(variant)(torch.zeros(1, 3, smallest, smallest)).shape == (1, 3)
        with pytest.raises(RuntimeError):
            network(variant)(torch.zeros(1, 3, smallest - 1, smallest - 1))


WEIGHTS = {
    "one is missing": lambda weights: weights.pop("classifier.1.bias"),
    "one too many": lambda weights: weights.update(more=torch.zeros(3)),
    "another shape": lambda weights: weights.update({"features.0.weight": torch.zeros(64, 3, 3, 3)}),
    "turned": lambda weights: weights.update({"classifier.4.weight": torch.zeros(64)}),
    "other outputs": lambda weights: weights.update({"classifier.6.bias": torch.zeros(4)}),
    "another name": lambda weights: weights.update({"module.x": weights.pop("features.0.bias")}),
    "none": lambda weights: weights.clear(),
    "not a number": lambda weights: weights["features.3.weight"].view(-1).__setitem__(5, float("nan")),
    "infinite": lambda weights: weights["classifier.6.bias"].__setitem__(0, float("inf")),
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_that_cannot_be_right_are_refused(name, tmp_path):
    weights = {key: tensor.clone() for key, tensor in checkpoint.shrink(network()).items()}
    WEIGHTS[name](weights)
    save(tmp_path / "a.safetensors", weights, CARD)
    finite = name in ("not a number", "infinite")
    with pytest.raises(CheckpointError, match="not finite" if finite else r"don't fit the network \(.*\w") as caught:
        load(tmp_path / "a.safetensors")
    assert caught.value.hint
    start = build("2014", 3)
    before = {key: tensor.clone() for key, tensor in start.state_dict().items()}
    if name in ("one too many", "other outputs"):
        start_weights(start, str(tmp_path / "a.safetensors"))
    else:
        with pytest.raises(CheckpointError, match=r"not finite|lacks weights"):
            start_weights(start, str(tmp_path / "a.safetensors"), KINDS)
        assert all(torch.equal(tensor, before[key]) for key, tensor in start.state_dict().items())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64, torch.int8])
def test_weights_in_other_number_formats_are_taken(dtype, tmp_path):
    weights = {name: (tensor * 100).to(dtype) for name, tensor in network().state_dict().items()}
    save(tmp_path / "a.safetensors", weights, CARD)
    loaded, _ = load(tmp_path / "a.safetensors")
    assert all(tensor.dtype == torch.float32 for tensor in loaded.state_dict().values())


def test_files_cut_off_anywhere_are_refused(tmp_path, sound):
    chance = random.Random(1)
    header_end = 8 + struct.unpack("<Q", sound[:8])[0]
    cuts = [*range(0, 12), *(chance.randrange(header_end) for _ in range(20)), header_end,
            *(chance.randrange(header_end, len(sound)) for _ in range(8)), len(sound) - 1]  # fmt: skip
    path = tmp_path / "best.safetensors"
    path.write_bytes(sound)
    for cut in sorted(cuts, reverse=True):
        os.truncate(path, cut)
        with pytest.raises(CheckpointError, match="damaged"):
            load(path)
    path.write_bytes(sound + b"more")
    with pytest.raises(CheckpointError, match="damaged"):
        load(path)


def test_headers_with_bytes_changed_give_a_checkpoint_error_and_nothing_else(tmp_path, sound):
    """Only the header changes: a changed weight is a weight like any other."""
    path, refused = tmp_path / "best.safetensors", 0
    header_end = 8 + struct.unpack("<Q", sound[:8])[0]
    path.write_bytes(sound)
    for seed in range(200):
        chance = random.Random(seed)
        head = bytearray(sound[:header_end])
        for _ in range(chance.choice([1, 1, 3, 20])):
            head[chance.choice([chance.randrange(8), chance.randrange(header_end)])] = chance.choice(
                b'0129"{}[]:,x\x00\xff'
            )
        with open(path, "r+b") as file:
            file.write(head)
        try:
            load(path)
        except CheckpointError:
            refused += 1
    assert refused > 150


# Starting a run from a checkpoint


def trunk(weights: dict) -> dict:
    return {name: tensor for name, tensor in weights.items() if not name.startswith(starts.OUTPUT_LAYER)}


@pytest.mark.parametrize(
    ("classes", "everything"),
    [(KINDS, True), (("a", "b", "c"), False), (("a", "b"), False), (tuple(map(str, range(40))), False)],
    ids=["the same", "as many others", "fewer", "more"],
)
def test_a_checkpoint_starts_a_run_of_its_own_and_of_other_kinds(classes, everything, path):
    source = load(path)[0].state_dict()
    start = network(classes=len(classes), seed=5)
    before = {name: tensor.clone() for name, tensor in start.state_dict().items()}
    assert start_weights(start, str(path), classes) is everything
    assert all(torch.equal(start.state_dict()[name], tensor) for name, tensor in trunk(source).items())
    output = f"{starts.OUTPUT_LAYER}weight"
    assert torch.equal(start.state_dict()[output], source[output] if everything else before[output])


def test_scratch_changes_nothing_and_imagenet_only_the_convolutions():
    start = network()
    before = {name: tensor.clone() for name, tensor in start.state_dict().items()}
    assert start_weights(start, "scratch") is False
    assert all(torch.equal(tensor, before[name]) for name, tensor in start.state_dict().items())
    assert start_weights(start, "imagenet") is False
    changed = {name for name, tensor in start.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed == {name for name in before if name.startswith("features.")}


@pytest.mark.parametrize("variant", ["2012", "readme"])
def test_what_fits_another_variant_is_refused_by_name(variant, path):
    with pytest.raises(CheckpointError, match=f"lacks weights that AlexNet {variant} needs"):
        start_weights(network(variant), "imagenet")
    with pytest.raises(CheckpointError, match=f"A 2014 checkpoint can't start a {variant}"):
        start_weights(network(variant), str(path))


@pytest.mark.parametrize("init", ["", "nowhere.safetensors", ".", "/dev/null"])
def test_a_start_that_is_no_file_is_refused(init):
    with pytest.raises(CheckpointError):
        start_weights(network(), init)


def test_a_download_that_fails_is_explained(monkeypatch):
    from flowers_core.machine.torchvision_import import torchvision

    weights = torchvision().models.AlexNet_Weights
    monkeypatch.setattr(weights, "get_state_dict", lambda *a, **k: (_ for _ in ()).throw(OSError("no network")))
    with pytest.raises(CheckpointError, match=r"Could not download.*no network.*choose init imagenet"):
        start_weights(network(), "imagenet-full")


# The state of a run


def test_a_state_comes_back_as_it_was(tmp_path):
    state = {"network": network().state_dict(), "step": 7, "best": (0.5, -1.0), "average": {}, "precision": "float32"}
    save_state(tmp_path / "resume.pt", state)
    loaded = load_state(tmp_path / "resume.pt")
    assert all(torch.equal(loaded["network"][name], tensor) for name, tensor in state["network"].items())
    assert {k: v for k, v in loaded.items() if k != "network"} == {k: v for k, v in state.items() if k != "network"}


@pytest.mark.filterwarnings("ignore")
def test_a_damaged_state_is_refused(tmp_path):
    path = tmp_path / "resume.pt"
    save_state(path, {"weights": torch.arange(500.0), "step": 3})
    whole = path.read_bytes()
    damaged = [b"", b"text", bytes(100), *(whole[:cut] for cut in range(1, len(whole), 97))]
    for seed in range(100):
        chance, content = random.Random(seed), bytearray(whole)
        for _ in range(10):
            content[chance.randrange(len(content))] = chance.randrange(256)
        damaged.append(bytes(content))
    refused = 0
    for content in damaged:
        path.write_bytes(content)
        try:
            assert isinstance(load_state(path), dict)
        except CheckpointError:
            refused += 1
    assert refused > 50
    torch.save([1, 2], path)
    for place in (path, tmp_path, tmp_path / "missing.pt"):
        with pytest.raises(CheckpointError, match=r"can't be read.*Start a new run"):
            load_state(place)


def test_checkpoints_are_listed_newest_run_first_and_without_strangers(home, sound):
    folder = home / "checkpoints" / "runs"
    for run in ("2025-1", "2025-2", "2025-3", "empty"):
        (folder / run).mkdir(parents=True)
    (folder / "2025-1" / "best.safetensors").write_bytes(sound)
    (folder / "2025-2" / "best.safetensors").mkdir()
    (folder / "2025-3" / "best.safetensors").write_bytes(sound)
    (folder / "2025-3" / ".best.safetensors.x.tmp").write_bytes(sound)
    save_file({"x": torch.zeros(1)}, folder / "2025-3" / "other.safetensors")
    *trained, shipped = find_checkpoints()
    assert trained == [folder / "2025-3" / "best.safetensors", folder / "2025-1" / "best.safetensors"]
    assert checkpoint.is_shipped(shipped)

"""From nothing, every layer begins with outputs of the same spread, whatever the photos."""

from pathlib import Path

import pytest
import torch
from torch import nn

from flowers_core import runs
from flowers_core.images.augment import STRENGTHS, EvalTransform
from flowers_core.network import alexnet
from flowers_core.network.alexnet import AlexNet
from flowers_core.photos.cache import decode_source
from flowers_core.photos.dataset import select
from flowers_core.settings import config
from flowers_core.sources import open_source
from flowers_core.training import balanced_start, train


@pytest.mark.parametrize("variant", ["2014", "readme"])
def test_every_layer_passes_on_as_much_as_it_gets(variant: str, three_kinds: Path, monkeypatch) -> None:
    monkeypatch.setattr(alexnet, "HIDDEN", 256)
    train_photos = select(decode_source(open_source(three_kinds)), "train")
    network, spreads = AlexNet(variant, 3).eval(), []
    balanced_start.apply(
        network, train_photos, STRENGTHS["none"], EvalTransform(), torch.Generator().manual_seed(1), photos=12
    )
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(lambda layer, inputs, output: spreads.append(output.std().item()))
    squares, aspects, _ = train_photos.load(torch.arange(12))
    from flowers_core.images.augment import eval_views

    network(eval_views(squares, aspects, EvalTransform(views="centre"))[0])
    assert spreads[:-1] == pytest.approx([1.0] * 7, rel=0.02)
    assert spreads[-1] == pytest.approx(balanced_start.LOGITS_SD, rel=0.02)


@pytest.mark.parametrize(("variant", "balanced"), [("2014", True), ("readme", True), ("2012", False)])
def test_only_the_papers_network_starts_as_the_paper_says(
    variant: str, balanced: bool, three_kinds: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(alexnet, "HIDDEN", 64)
    asked = []
    monkeypatch.setattr(balanced_start, "apply", lambda *args, **options: asked.append(args))
    settings = config.preset("standard", "scratch", variant=variant, data=str(three_kinds))
    train._Fit(settings, decode_source(open_source(three_kinds)), runs.create(settings, tmp_path / "run"), lambda: "")
    assert bool(asked) == balanced

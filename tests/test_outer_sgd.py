"""Steps without gradients are those of plain SGD."""

import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from torch import nn

from flowers_core.network import alexnet
from flowers_core.network.alexnet import AlexNet
from flowers_core.settings import config
from flowers_core.storage import REPOSITORY
from flowers_core.training import schedule
from flowers_core.training.outer_sgd import LaggingLinear, OuterSGD
from flowers_core.training.schedule import clip, make_optimizer


def stepped(network: AlexNet, optimizer: OuterSGD | torch.optim.Optimizer, longest: float, steps: int = 5) -> AlexNet:
    """The network after some steps on batches of 4, 3, 4, ... photos."""
    for group in optimizer.param_groups:
        group["lr"] = 0.1 * group["share"]
    for seed in range(steps):
        torch.manual_seed(seed)
        images, labels = torch.randn(4, 3, 64, 64), torch.tensor([0, 1, 2, 1])
        photos = 4 - seed % 2
        loss = nn.functional.cross_entropy(network(images[:photos]), labels[:photos])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if longest:
            clip(optimizer, network, longest)
        optimizer.step()
    return network


def small_network() -> AlexNet:
    torch.manual_seed(3)
    return alexnet.build("2014", 3, dropout=0.0)


@pytest.mark.parametrize("rows", [0, 8, 512])
@pytest.mark.parametrize("longest", [0.0, 0.05])
@pytest.mark.parametrize("frozen", [True, False])
def test_a_step_without_gradients_is_the_step_of_plain_sgd(
    rows: int, longest: float, frozen: bool, monkeypatch
) -> None:
    monkeypatch.setattr(alexnet, "HIDDEN", 24)
    monkeypatch.setattr(schedule, "MOST_ROWS", rows)
    settings = replace(config.preset("standard"), momentum=0.0, weight_decay=0.01, features_lr=0.0 if frozen else 0.5)
    ours, plain = small_network(), small_network()
    optimizer = make_optimizer(settings, ours)
    stepped(ours, optimizer, longest)
    assert sum(len(layer.step_sizes) for layer in optimizer.layers) == {0: 0, 8: 21, 512: 54}[rows]
    before = [layer.weight.clone() for layer in optimizer.layers]
    copies = [layer.with_pending().float() for layer in optimizer.layers]
    assert all(torch.equal(layer.weight, old) for layer, old in zip(optimizer.layers, before, strict=True))
    optimizer.apply_pending()
    for layer, copy in zip(optimizer.layers, copies, strict=True):
        torch.testing.assert_close(copy, layer.weight, rtol=2e-3, atol=1e-5)
    stepped(plain, make_optimizer(replace(settings, optimizer="sgd-2012"), plain), longest)
    assert all(layer.weight.grad is None for layer in ours.modules() if isinstance(layer, nn.Linear))
    for name, weight in ours.state_dict().items():
        torch.testing.assert_close(weight, plain.state_dict()[name], rtol=1e-4, atol=1e-6)


def test_convolutions_keep_their_momentum_and_the_others_take_steps_as_long_in_sum(monkeypatch) -> None:
    monkeypatch.setattr(alexnet, "HIDDEN", 24)
    settings = replace(config.preset("standard"), momentum=0.9, features_lr=0.5)
    network = small_network()
    optimizer = make_optimizer(settings, network)
    features, outer = optimizer.param_groups[1], optimizer.param_groups[-1]
    assert (optimizer.rest.momentum, features["share"]) == (0.9, 0.5)
    assert outer["share"] == pytest.approx(10)
    assert {id(p) for group in optimizer.rest.param_groups for p in group["params"]} == {
        id(p) for p in network.parameters() if p.requires_grad
    }


def test_a_training_starts_without_torchs_compiler() -> None:
    """Whose import takes two seconds of every start."""
    code = """if True:
        import sys, torch
        from flowers_core.network import alexnet
        from flowers_core.settings import config
        from flowers_core.training.schedule import make_optimizer
        alexnet.HIDDEN = 8
        network = alexnet.build("2014", 3)
        optimizer = make_optimizer(config.preset("standard"), network)
        network(torch.zeros(1, 3, 64, 64)).sum().backward()
        optimizer.step()
        sys.exit("torch._dynamo" in sys.modules)"""
    assert subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY).returncode == 0


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_what_a_gpu_does_instead_takes_the_same_steps(monkeypatch, momentum: float) -> None:
    monkeypatch.setattr(alexnet, "HIDDEN", 24)
    settings = replace(config.preset("standard"), momentum=momentum, weight_decay=0.01, features_lr=0.5)
    ours, theirs = small_network(), small_network()
    optimizer = make_optimizer(settings, ours)
    stepped(ours, optimizer, 0.05)
    optimizer.apply_pending()
    groups = [{"params": list(theirs.classifier.parameters()), "share": 1.0},
              {"params": list(theirs.features.parameters()), "share": 0.5}]  # fmt: skip
    stepped(theirs, schedule.like_outer_sgd(settings, groups, theirs), 0.05)
    for name, weight in ours.state_dict().items():
        torch.testing.assert_close(weight, theirs.state_dict()[name], rtol=1e-4, atol=1e-6)


def test_bfloat16_rounds_the_arithmetic_and_keeps_the_weights(monkeypatch) -> None:
    monkeypatch.setattr(alexnet, "HIDDEN", 24)
    settings = replace(config.preset("standard"), momentum=0.0)
    exact, rounded = small_network(), small_network()
    optimizers = make_optimizer(settings, exact), make_optimizer(settings, rounded, "bfloat16")
    for network, optimizer in zip((exact, rounded), optimizers, strict=True):
        stepped(network, optimizer, 0.0)
        optimizer.apply_pending()
    start, ends = small_network().classifier[1].weight, [n.classifier[1].weight for n in (exact, rounded)]
    assert ends[1].dtype == torch.float32
    assert (ends[0] - ends[1]).norm() < 0.02 * (ends[0] - start).norm(), "steps below bfloat16's grain are kept"
    assert isinstance(rounded.classifier[1], LaggingLinear)
    assert torch.equal(rounded.classifier[1].rounded, ends[1].bfloat16())

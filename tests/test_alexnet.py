"""The three variants against their papers, against torchvision, and one contract over all of them."""

import pytest
import torch
from torch import nn

from flowers_core.errors import ConfigError
from flowers_core.machine.torchvision_import import torchvision
from flowers_core.network import starts
from flowers_core.network.alexnet import HIDDEN, VARIANTS, AlexNet, Dropout, LowRank, build
from flowers_core.network.local_response import LocalResponseNorm
from flowers_core.settings import config

FILTERS = {
    "2012": [(96, 11, 4, 1), (256, 5, 1, 2), (384, 3, 1, 1), (384, 3, 1, 2), (256, 3, 1, 2)],
    "2014": [(64, 11, 4, 1), (192, 5, 1, 1), (384, 3, 1, 1), (256, 3, 1, 1), (256, 3, 1, 1)],
    "readme": [(96, 11, 4, 1), (96, 5, 1, 1), (256, 3, 1, 1), (256, 3, 1, 1), (384, 3, 1, 1)],
}
"""(filters, kernel, stride, groups) of the five convolutions."""


@pytest.fixture(scope="module", params=list(VARIANTS))
def network(request: pytest.FixtureRequest) -> AlexNet:
    torch.manual_seed(0)
    return build(request.param, 3).eval()


def layers(network: AlexNet, kind: type) -> list:
    return [layer for layer in network.modules() if isinstance(layer, kind)]


def test_every_variant_maps_images_to_logits_and_learns(network: AlexNet) -> None:
    images = torch.randn(2, 3, 224, 224)
    logits = network(images)
    assert logits.shape == (2, 3)
    nn.functional.cross_entropy(logits, torch.tensor([0, 2])).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
    network.zero_grad(set_to_none=True)


def test_every_variant_has_the_filters_of_the_table(network: AlexNet) -> None:
    convolutions = layers(network, nn.Conv2d)
    found = [(c.out_channels, c.kernel_size[0], c.stride[0], c.groups) for c in convolutions]
    assert found == FILTERS[network.variant]
    assert network.features[network.convolving - 2] is convolutions[-1]


def test_every_variant_has_eight_learned_layers_overlapping_pools_and_two_dropouts(network: AlexNet) -> None:
    linears = layers(network, nn.Linear)
    assert len(layers(network, nn.Conv2d)) + len(linears) == 8
    assert [layer.out_features for layer in linears] == [HIDDEN, HIDDEN, 3]
    assert [(p.kernel_size, p.stride) for p in layers(network, nn.MaxPool2d)] == [(3, 2)] * 3
    assert [type(layer) for layer in network.classifier][:4] == [Dropout, nn.Linear, nn.ReLU, Dropout]
    assert [layer.p for layer in layers(network, nn.Dropout)] == [0.5, 0.5]


def test_local_response_normalisation_stands_where_the_paper_has_it(network: AlexNet) -> None:
    order = [type(layer).__name__ for layer in network.features]
    block = ["Conv2d", "ReLU", "LocalResponseNorm", "MaxPool2d"]
    expected = [*block, *block] if network.variant != "2014" else [block[0], block[1], block[3]] * 2
    assert order[: len(expected)] == expected
    assert order.count("LocalResponseNorm") == (0 if network.variant == "2014" else 2)


def test_relu_behind_the_pooling_changes_no_bit(network: AlexNet) -> None:
    images = torch.randn(2, 3, 224, 224)
    as_they_stand = nn.Sequential(*network.features)
    seen = []
    hook = network.features[1].register_forward_hook(lambda *given: seen.append(given[2].shape[-1]))
    assert torch.equal(network.features(images), as_they_stand(images))
    hook.remove()
    assert seen == ([27, 55] if network.variant == "2014" else [55, 55]), "only pooling may come before"
    slopes = []
    for convolve in (network.features, as_they_stand):
        network.zero_grad(set_to_none=True)
        (convolve(images) * torch.arange(36.0).view(6, 6)).sum().backward()
        slopes.append([weight.grad for weight in network.features.parameters()])
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(*slopes, strict=True))
    network.zero_grad(set_to_none=True)


@pytest.mark.parametrize(("p", "kept"), [(0.5, 0.5), (0.3, 0.7), (0.95, 0.05), (0.001, 0.999), (1.0, 0.0)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dropout_keeps_its_share_and_the_mean(p: float, kept: float, dtype: torch.dtype) -> None:
    torch.manual_seed(3)
    inputs, layer = torch.ones(100, 4001, dtype=dtype), Dropout(p)
    left = layer(inputs)
    assert left.dtype == dtype
    share = (left > 0).float()
    assert share.mean().item() == pytest.approx(kept, abs=0.004)
    assert left.float().mean().item() == pytest.approx(float(p < 1), abs=0.03)
    assert len(left.unique()) == 1 + (p < 1)
    if p == 0.5:  # no two inputs share their chance
        for apart in (1, 8, 64, 4001):
            twice = (share.flatten()[apart:] * share.flatten()[:-apart]).mean().item()
            assert twice == pytest.approx(0.25, abs=0.004)
    assert torch.equal(layer.eval()(inputs), inputs)


def test_other_input_sizes_work_too(network: AlexNet) -> None:
    with torch.inference_mode():
        assert network(torch.randn(1, 3, 320, 256)).shape == (1, 3)


def test_local_response_norm_is_the_papers_formula() -> None:
    torch.manual_seed(1)
    a = 40 * torch.randn(2, 16, 3, 5, dtype=torch.float64)
    n, k, alpha, beta = 5, 2.0, 1e-4, 0.75
    expected = torch.empty_like(a)
    for i in range(16):
        low, high = max(0, i - n // 2), min(15, i + n // 2)
        total = (a[:, low : high + 1] ** 2).sum(1)
        expected[:, i] = a[:, i] / (k + alpha * total) ** beta
    torch.testing.assert_close(LocalResponseNorm(n, k, alpha, beta)(a), expected)


def test_local_response_norm_holds_large_values_in_half_precision() -> None:
    a = torch.full((1, 5, 1, 1), 300.0, dtype=torch.float16)
    expected = LocalResponseNorm()(a.float())
    torch.testing.assert_close(LocalResponseNorm()(a).float(), expected, rtol=2e-3, atol=0)
    with pytest.raises(ValueError, match="odd"):
        LocalResponseNorm(n=4)


def test_local_response_norm_has_the_slopes_of_its_formula() -> None:
    torch.manual_seed(1)
    a = (2 * torch.randn(5, 9, 2, 3, dtype=torch.float64)).requires_grad_()  # more than are normalised together
    assert torch.autograd.gradcheck(LocalResponseNorm(n=5, k=1.5, alpha=0.3, beta=0.6), a)


def test_local_response_norm_answers_as_pytorchs_in_every_format() -> None:
    torch.manual_seed(1)
    a = (40 * torch.rand(6, 96, 13, 13)).contiguous(memory_format=torch.channels_last)
    results = []
    for dtype in (None, torch.float32, torch.bfloat16):
        given = a.to(dtype or torch.float32, copy=True).requires_grad_()
        if dtype is None:
            normal = nn.functional.local_response_norm(given, 5, alpha=5e-4, beta=0.75, k=2.0)
        else:
            with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
                normal = LocalResponseNorm()(given)
            assert normal.dtype == dtype
            assert normal.is_contiguous(memory_format=torch.channels_last)
        (normal.float() * torch.linspace(0, 1, a.numel()).view(a.shape)).sum().backward()
        results.append((normal.float(), given.grad.float()))
    for (answer, slopes), allowed in zip(results[1:], (1e-6, 1e-2), strict=True):
        assert torch.linalg.norm(answer - results[0][0]) < allowed * torch.linalg.norm(answer)
        assert torch.linalg.norm(slopes - results[0][1]) < allowed * torch.linalg.norm(slopes)


def test_2014_answers_as_torchvisions_alexnet_with_the_same_weights() -> None:
    torch.manual_seed(2)
    theirs = torchvision().models.alexnet(num_classes=30).eval()
    ours = AlexNet("2014", 30).eval()
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict())
    images = torch.randn(2, 3, 224, 224)
    with torch.inference_mode():
        assert torch.equal(ours(images), theirs(images))


def test_2012_begins_as_its_paper_says() -> None:
    torch.manual_seed(3)
    network = build("2012", 1000)
    convolutions, linears = layers(network, nn.Conv2d), layers(network, nn.Linear)
    for layer in (*convolutions, *linears):
        assert abs(layer.weight.mean().item()) < 1e-3
        assert layer.weight.std().item() == pytest.approx(0.01, rel=0.03)
    assert [c.bias.unique().tolist() for c in convolutions] == [[0.0], [1.0], [0.0], [1.0], [1.0]]
    assert [linear.bias.unique().tolist() for linear in linears] == [[1.0], [1.0], [0.0]]


def test_imagenet_start_fills_all_five_convolutions() -> None:
    torch.manual_seed(4)
    network = build("2014", 3)
    fresh = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    starts.start_weights(network, "imagenet")
    changed = {name for name, tensor in network.state_dict().items() if not torch.equal(tensor, fresh[name])}
    assert changed == {name for name in fresh if name.startswith("features.")}


def test_an_unknown_variant_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="2012, 2014, readme"):
        AlexNet("2013", 3)


def test_config_lists_the_same_variants() -> None:
    assert set(config.VARIANTS) == set(VARIANTS)


def test_a_product_of_full_rank_answers_as_the_layer_it_stands_for() -> None:
    layer = torch.nn.Linear(12, 8)
    left, values, right = torch.linalg.svd(layer.weight.detach(), full_matrices=False)
    product = LowRank(12, 8, 8)
    product.load_state_dict({"down.weight": right, "up.weight": left * values, "up.bias": layer.bias.detach()})
    images = torch.randn(3, 12)
    assert torch.allclose(product(images), layer(images), atol=1e-5)


def test_ranks_replace_the_hidden_layers_and_nothing_else() -> None:
    network = AlexNet("2014", 5, ranks={1: 7, 4: 3})
    names = dict(network.named_parameters())
    assert names["classifier.1.down.weight"].shape == (7, 9216)
    assert names["classifier.4.up.weight"].shape == (HIDDEN, 3)
    assert network.eval()(torch.zeros(2, 3, 224, 224)).shape == (2, 5)

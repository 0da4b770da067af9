"""A trained network made small: its hidden fully connected layers as products of two narrow ones."""

import torch
from torch import Tensor, nn

from flowers_core.network.alexnet import AlexNet, LowRank


@torch.inference_mode()
def compress(network: AlexNet, features: Tensor, rank: int) -> AlexNet:
    """A network with the same convolutions and output layer, whose hidden layers keep `rank` directions each.

    The directions are the principal components of what each layer puts out for the given photos, before its ReLU:
    of all products of that rank, this one changes the layer's output least (its singular value decomposition weighed by
    real inputs; Denton et al. 2014 minimise the same error). The second layer takes what the compressed first one
    gives.

    Args:
        network: full, in evaluation mode; left as it is.
        features: (n, filters * 36) what `network.pooled_features` gives for photos, some hundred at least.
        rank: of each product, at most the number of photos.
    """
    small = AlexNet(network.variant, network.classes, ranks={1: rank, 4: rank}).eval()
    small.features.load_state_dict(network.features.state_dict())
    small.classifier[6].load_state_dict(network.classifier[6].state_dict())
    inside = features
    for place in (1, 4):
        layer = network.classifier[place]
        _factor(layer, inside, small.classifier[place])
        inside = torch.relu(small.classifier[place](inside))
    return small


def _factor(layer: nn.Linear, inputs: Tensor, product: LowRank) -> None:
    """Sets `product` to the best approximation of `layer` on these inputs."""
    outputs = inputs @ layer.weight.T
    mean = outputs.mean(0)
    components = torch.linalg.svd(outputs - mean, full_matrices=False).Vh[: product.down.out_features]
    product.down.weight.copy_(components @ layer.weight)
    product.up.weight.copy_(components.T)
    # What the left-out directions put out on average is not lost: it goes into the bias.
    product.up.bias.copy_(layer.bias + mean - components.T @ (components @ mean))

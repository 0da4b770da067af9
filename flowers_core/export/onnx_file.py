"""A model as an ONNX file that takes photos as they are and answers with probabilities.

The graph is written node by node from the list of layers. It needs no tracing, works for views and
preprocessing alike, and says more to who opens it in a viewer: every node has the layer's name.
"""

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from flowers_core.export.layers import Layer
from flowers_core.storage import write_bytes

OPSET = 17
"""Has every operator of the graph, as 16 has; a newer one would shut out older runtimes."""

LARGE = 100_000
"""Weights with more values than this are stored as float16, as in a checkpoint, and widened when the file is loaded."""


class _Graph:
    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, name: str, values: np.ndarray | list) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def floats(self, name: str, values: np.ndarray | list) -> str:
        return self.constant(name, np.asarray(values, np.float32))

    def weights(self, name: str, values: np.ndarray) -> str:
        if values.size <= LARGE:
            return self.floats(name, values)
        return self.node("Cast", [self.constant(f"{name}.half", values.astype(np.float16))], name, to=TensorProto.FLOAT)

    def node(self, op: str, inputs: list[str], output: str, **settings: object) -> str:
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **settings))
        return output


def write(path: Path, layers: list[Layer], about: dict) -> None:
    """Writes the model whole.

    Inputs: `photos` (n, 256, 256, 3) uint8, RGB, each squeezed to a square; `aspects` (n,) float32, width over height
    before that. Outputs: `probabilities` (n, classes) float32, each row summing to 1: the mean over the views that the
    app takes; and, of a model that can tell, `known` (n,) bool: does the photo show one of the kinds at all? Cutting
    out the views, normalisation, temperature and softmax are inside. The properties hold `about`.

    Raises:
        StorageError: the disk is full, read-only or closed to us.
    """
    graph = _Graph()
    size, views, classes = about["transform"]["size"], about["views"], len(about["classes"])
    images = _views(graph, size, views, about)
    logits, maps = _network(graph, layers, images, size)
    scaled = graph.node("Div", [logits, graph.floats("temperature", about["temperature"])], "logits_over_temperature")
    each = graph.node("Softmax", [scaled], "each_view", axis=1)
    shape = graph.constant("by_photo", np.array([-1, len(views), classes]))
    each = graph.node("Reshape", [each, shape], "each_photo")
    graph.node("ReduceMean", [each], "probabilities", axes=[1], keepdims=0)
    outputs = [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", classes])]
    if about["rejection"]:
        kinds = [layer for layer in layers if layer.op == "kinds"]
        if kinds:
            by_photo = graph.node("Reshape", [logits, shape], "logits_by_photo")
            found = _kind_score(graph, kinds[0], maps, by_photo, about)
        else:
            found = _energy(graph, scaled, about)
        limit = graph.floats("threshold", about["rejection"]["threshold"])
        graph.node("GreaterOrEqual", [found, limit], "known")
        outputs.append(helper.make_tensor_value_info("known", TensorProto.BOOL, ["n"]))

    side = about["square"]
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            f"AlexNet {about['card']['variant']}",
            [
                helper.make_tensor_value_info("photos", TensorProto.UINT8, ["n", side, side, 3]),
                helper.make_tensor_value_info("aspects", TensorProto.FLOAT, ["n"]),
            ],
            outputs,
            graph.constants,
            doc_string=about["input"],
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=8,  # what goes with this opset: older runtimes refuse newer ones
        producer_name=about["program"],
    )
    helper.set_model_props(
        model,
        {
            "classes": json.dumps(about["classes"]),
            "latin": json.dumps(about["latin"]),
            "input": about["input"],
            "transform": json.dumps(about["transform"]),
            "card": json.dumps(about["card"]),
            "about": json.dumps(about),
        },
    )
    onnx.checker.check_model(model)
    write_bytes(path, model.SerializeToString())


def _views(graph: _Graph, size: int, views: list, about: dict) -> str:
    """(n, 256, 256, 3) uint8 to (n * views, 3, size, size), normalised: `augment.cut`, for upright windows."""
    transform, n_views, side = about["transform"], len(views), about["square"]
    window, x, y, mirror = np.array(views, np.float32).T
    one = graph.floats("one", 1.0)
    column = graph.constant("as_column", np.array([-1, 1]))
    aspects = graph.node("Reshape", ["aspects", column], "aspect_column")
    offsets = (np.arange(size, dtype=np.float32) * 2 + 1) / size - 1  # pixel centres from -1 to 1
    axes = []
    for name, sides, places, reach in (
        ("x", window * mirror, x, graph.node("Max", [aspects, one], "reach_x")),
        ("y", window, y, graph.node("Max", [graph.node("Div", [one, aspects], "inverse"), one], "reach_y")),
    ):
        share = graph.node("Div", [graph.floats(f"sides_{name}", sides[None]), reach], f"share_{name}")
        whole = graph.node("Div", [graph.floats(f"windows_{name}", window[None]), reach], f"whole_{name}")
        room = graph.node("Relu", [graph.node("Sub", [one, whole], f"rest_{name}")], f"room_{name}")
        centre = graph.node("Mul", [room, graph.floats(f"places_{name}", places[None])], f"centre_{name}")
        flat = graph.constant(f"flat_{name}", np.array([-1, 1]))
        share = graph.node("Reshape", [share, flat], f"share_of_view_{name}")
        centre = graph.node("Reshape", [centre, flat], f"centre_of_view_{name}")
        spread = graph.node("Mul", [share, graph.floats(f"offsets_{name}", offsets[None])], f"spread_{name}")
        axes.append(graph.node("Add", [spread, centre], f"at_{name}"))
    line = {"x": [-1, 1, size, 1], "y": [-1, size, 1, 1]}
    ones = graph.floats("ones", np.ones((1, size, size, 1)))
    planes = [
        graph.node(
            "Mul",
            [graph.node("Reshape", [at, graph.constant(f"line_{name}", np.array(line[name]))], f"{name}_line"), ones],
            f"{name}_plane",
        )
        for at, name in zip(axes, "xy", strict=True)
    ]
    grid = graph.node("Concat", planes, "grid", axis=3)

    pixels = graph.node("Cast", ["photos"], "values", to=TensorProto.FLOAT)
    pixels = graph.node("Div", [pixels, graph.floats("white", 255.0)], "values_0_to_1")
    pixels = graph.node("Sub", [pixels, graph.floats("mean", transform["mean"])], "values_less_mean")
    pixels = graph.node("Div", [pixels, graph.floats("std", transform["std"])], "normalised")
    pixels = graph.node("Transpose", [pixels], "planes", perm=[0, 3, 1, 2])
    again = graph.node("Unsqueeze", [pixels, graph.constant("view_axis", np.array([1]))], "planes_of_photo")
    tile = graph.node("Tile", [again, graph.constant("per_view", np.array([1, n_views, 1, 1, 1]))], "planes_per_view")
    merged = graph.constant("as_batch", np.array([-1, 3, side, side]))
    tile = graph.node("Reshape", [tile, merged], "planes_of_view")
    return graph.node("GridSample", [tile, grid], "views", mode="bilinear", padding_mode="reflection", align_corners=0)


def _network(graph: _Graph, layers: list[Layer], images: str, side: int) -> tuple[str, list[str]]:
    """Normalised images to logits, and to each convolution's maps."""
    x, flat, maps = images, False, []
    for layer in layers:
        name, s = layer.name, layer.settings
        if layer.op == "conv":
            weight, bias = graph.weights(f"{name}.weight", layer.weight), graph.floats(f"{name}.bias", layer.bias)
            kernel, stride, padding = layer.weight.shape[2], s["stride"], s["padding"]
            x = graph.node(
                "Conv", [x, weight, bias], name, group=s["groups"], kernel_shape=[kernel] * 2, strides=[stride] * 2,
                pads=[padding] * 4,
            )  # fmt: skip
            side = (side + 2 * padding - kernel) // stride + 1
        elif layer.op == "relu":
            x = graph.node("Relu", [x], name)
            maps += [] if flat else [x]
        elif layer.op == "lrn":
            x = graph.node("LRN", [x], name, size=s["n"], alpha=s["alpha"] * s["n"], beta=s["beta"], bias=s["k"])
        elif layer.op == "maxpool":
            x = graph.node("MaxPool", [x], name, kernel_shape=[s["kernel"]] * 2, strides=[s["stride"]] * 2)
            side = (side - s["kernel"]) // s["stride"] + 1
        elif layer.op == "avgpool":
            if side != s["side"]:
                x = _averaged(graph, x, name, side, s["side"])
            side = s["side"]
        elif layer.op == "read":
            x = _read(graph, layer, x, maps[-s["convolutions"] :])
        elif layer.op == "linear":
            if not flat:
                x, flat = graph.node("Flatten", [x], "flat", axis=1), True
            weight, bias = graph.weights(f"{name}.weight", layer.weight), graph.floats(f"{name}.bias", layer.bias)
            x = graph.node("Gemm", [x, weight, bias], name, transB=1)
    return x, maps


def _read(graph: _Graph, layer: Layer, logits: str, maps: list[str]) -> str:
    """Logits with the second reader's added, which looks at these maps."""
    columns = []
    for place, x in enumerate(maps):
        name = f"{layer.name}.{place}"
        mean = graph.node("ReduceMean", [x], f"{name}.mean", axes=[2, 3], keepdims=1)
        apart = graph.node("Sub", [x, mean], f"{name}.apart")
        square = graph.node("Mul", [apart, apart], f"{name}.square")
        variance = graph.node("ReduceMean", [square], f"{name}.variance", axes=[2, 3], keepdims=1)
        columns += [mean, graph.node("Sqrt", [variance], f"{name}.deviation")]
    summary = graph.node(
        "Flatten", [graph.node("Concat", columns, f"{layer.name}.summary", axis=1)], f"{layer.name}.row"
    )
    roots = graph.node("Sqrt", [summary], f"{layer.name}.roots")
    weight = graph.floats(f"{layer.name}.weight", layer.weight)
    second = graph.node("Gemm", [roots, weight, graph.floats(f"{layer.name}.bias", layer.bias)], layer.name, transB=1)
    return graph.node("Add", [logits, second], "both_readers")


def _kind_score(graph: _Graph, layer: Layer, maps: list[str], logits: str, about: dict) -> str:
    """(n,): `RelativeMahalanobis.scores`, from logits (n, views, classes)."""
    name, directions, means = layer.name, layer.more["directions"], layer.more["means"]
    seen = maps[-layer.settings["convolutions"] :]
    each = [
        graph.node("ReduceMean", [x], f"{name}.{place}.mean", axes=[2, 3], keepdims=0) for place, x in enumerate(seen)
    ]
    shape = graph.constant(f"{name}.by_photo", np.array([-1, len(about["views"]), len(directions)]))
    each = graph.node("Reshape", [graph.node("Concat", each, f"{name}.means_of_view", axis=1), shape], f"{name}.views")
    mean = graph.node("ReduceMean", [each], f"{name}.means_of_photo", axes=[1], keepdims=0)
    roots = graph.node("Sqrt", [mean], f"{name}.roots")
    roots = graph.node("Sub", [roots, graph.floats(f"{name}.middle", layer.more["middle"])], f"{name}.from_middle")
    place = graph.node("MatMul", [roots, graph.weights(f"{name}.directions", directions.T)], f"{name}.place")
    square = graph.node("Mul", [place, place], f"{name}.place_squared")
    across = graph.constant(f"{name}.columns", np.array([1]))
    usual = graph.node("Div", [square, graph.floats(f"{name}.spread", layer.more["spread"])], f"{name}.share")
    usual = graph.node("ReduceSum", [usual, across], f"{name}.from_all", keepdims=0)
    along = graph.node("MatMul", [place, graph.floats(f"{name}.twice_means", 2 * means.T)], f"{name}.along")
    lengths = graph.floats(f"{name}.lengths", (means.astype(np.float64) ** 2).sum(1))
    apart = graph.node("Sub", [graph.node("ReduceSum", [square, across], f"{name}.length", keepdims=1), along],
                       f"{name}.less_along")  # fmt: skip
    apart = graph.node("Add", [apart, lengths], f"{name}.from_each")
    said = graph.node("ReduceMean", [logits], "logits_of_photo", axes=[1], keepdims=0)
    said = graph.node(
        "Mul", [said, graph.floats("logit_weight", about["rejection"].get("logit_weight", 0.0))], "logits_weighed"
    )
    near = graph.node("Sub", [said, apart], f"{name}.near_each")
    nearest = graph.node("ReduceMax", [near], f"{name}.near", axes=[1], keepdims=0)
    return graph.node("Add", [usual, nearest], "score")


def _energy(graph: _Graph, scaled: str, about: dict) -> str:
    """(n,) the negative energy of logits over temperature, (n * views, classes): `calibrate.scores`."""
    each = graph.node("ReduceLogSumExp", [scaled], "energy_of_view", axes=[1], keepdims=0)
    by_photo = graph.constant("energies_by_photo", np.array([-1, len(about["views"])]))
    mean = graph.node("ReduceMean", [graph.node("Reshape", [each, by_photo], "energies")], "energy", axes=[1],
                      keepdims=0)  # fmt: skip
    return graph.node("Mul", [mean, graph.floats("energy_scale", about["temperature"])], "score")


def _averaged(graph: _Graph, x: str, name: str, side: int, target: int) -> str:
    """Adaptive average pooling, which ONNX lacks, as a matrix from either side."""
    matrix = np.zeros((target, side), np.float32)
    for row in range(target):
        start, end = row * side // target, -(-(row + 1) * side // target)
        matrix[row, start:end] = 1 / (end - start)
    rows = graph.node("MatMul", [graph.floats(f"{name}.rows", matrix), x], f"{name}.down")
    return graph.node("MatMul", [rows, graph.floats(f"{name}.columns", matrix.T)], name)

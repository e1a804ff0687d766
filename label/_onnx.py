"""Transformer teachers in ONNX Runtime: from torch to ONNX, and from float32 to int8 where that pays.

Quantization is dynamic: weights are int8 with a scale for each output, activations become uint8 as they pass, with one
range for each product. A transformer's activations have a few channels that are tens of times larger than the others,
and these would take that range for themselves. Such channels are shrunk before they are rounded, and the weights that
read them grow by as much, which leaves the product as it is (SmoothQuant, arXiv 2211.10438, section 4). Unlike there,
channels below the mean are left alone, so that one that was quiet in the calibration cannot become an outlier later,
and the weights have no say in the factors.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from transferset import StillhouseError
from transferset.onnx import check_exportable, check_installed, export_errors, onnx_model, runtime

if TYPE_CHECKING:
    from torch import nn

Ids = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
#: Token ids, attention mask and token types (None where texts are single) of B texts, each (B, T).
Batch = tuple[Ids, Ids, Ids | None]
#: Names of the weights that multiply one value, in order.
Weights = tuple[str, ...]

INPUTS = ("stillhouse.ids", "stillhouse.mask", "stillhouse.types")  # no value inside a graph bears such a name
SMOOTHING = 0.7  # exponent of the outlier factors; 0.6 to 0.9 do about equally well
CONTRIBUTED = "com.microsoft"  # domain of ONNX Runtime's own operators
FLOAT = 1  # TensorProto.FLOAT


def _example(texts: int, tokens: int, pair: bool) -> Batch:
    """A small batch with padding, of ids that any vocabulary has."""
    ids = np.arange(2, 2 + texts * tokens, dtype=np.int64).reshape(texts, tokens) % 5
    mask = np.ones_like(ids)
    mask[1:, tokens // 2 :] = 0
    return ids, mask, np.zeros_like(ids) if pair else None


def export(module: nn.Module, signals: Sequence[str], pair: bool) -> bytes:
    """A transformer as ONNX in float32, for any number of texts and tokens.

    Args:
        module: in eval mode; ``forward(input_ids, attention_mask, token_type_ids=None)`` gives a tuple of float32
            tensors (B, width), one for each signal.
        signals: names of the outputs.
        pair: whether token types are an input too.

    Raises:
        StillhouseError: where the module cannot be exported, is larger than 2 GiB, or says something else in ONNX.
    """
    check_exportable(module, "a model")
    with export_errors("a model"):
        data = _exported(module, signals, pair)
        worst = _difference(module, OnnxModel(data, signals), _example(2, 13, pair))
    if not worst < 1e-3:
        raise StillhouseError(
            f"onnx: an exported model must say what it says in torch, got a difference of {worst:.2g}"
        )
    return data


def _exported(module: nn.Module, signals: Sequence[str], pair: bool) -> bytes:
    import torch

    arrays = tuple(torch.from_numpy(each) for each in _example(3, 7, pair) if each is not None)
    names, outputs = INPUTS[: len(arrays)], [_output(each) for each in signals]
    return bytes(onnx_model(module, arrays, names, outputs, [(0, 1)] * len(arrays)).SerializeToString())


def _output(signal: str) -> str:
    return f"stillhouse.{signal}"


def _difference(module: nn.Module, exported: OnnxModel, batch: Batch) -> float:
    """The largest difference between a module and its export, as a share of the largest value."""
    import torch

    with torch.no_grad():
        wanted = module(*(None if each is None else torch.from_numpy(each) for each in batch))
    worst = 0.0
    for one, other in zip(wanted, exported(*batch), strict=True):
        scale = max(1.0, float(one.abs().max()))
        worst = max(worst, float(np.abs(one.numpy() - other).max()) / scale)
    return worst


class OnnxModel:
    """An exported or quantized model, ready to be asked by several threads at once.

    Every call computes in the thread that makes it, so as many threads as cores use them all, and the same arrays give
    the same bits in any of them.

    Args:
        data: ONNX, of ``export`` or ``quantize``.
        signals: which outputs to give, in order.
    """

    def __init__(self, data: bytes, signals: Sequence[str]) -> None:
        check_installed()
        self._session = _session(data)
        self._outputs = [_output(each) for each in signals]

    def __call__(self, ids: Ids, mask: Ids, types: Ids | None = None) -> tuple[Floats, ...]:
        """Each signal, (B, width), of token ids, attention mask and token types, (B, T)."""
        return tuple(self._session.run(self._outputs, _feed(self._session, (ids, mask, types))))


def _feed(session: Any, batch: Batch) -> dict[str, Ids]:
    """A batch under the names of a session's inputs; a model that has no use for token types does not get them."""
    inputs = [each.name for each in session.get_inputs()]
    return {name: each for name, each in zip(INPUTS, batch, strict=True) if each is not None and name in inputs}


def _session(data: bytes) -> Any:
    ort = runtime()

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.enable_mem_pattern = False  # it keeps a plan for every shape it has seen, which is no faster and grows
    # The fused kernel of these two is scalar and takes several times as long as the two.
    slow = ["SkipLayerNormFusion"]
    return ort.InferenceSession(data, options, providers=["CPUExecutionProvider"], disabled_optimizers=slow)


def quantize(data: bytes, calibration: Sequence[Batch] = ()) -> bytes:
    """A model with int8 weights and activations that are quantized as they pass.

    Products of tokens by weights are quantized. What works on one vector a text (pooler and classifier) costs next to
    nothing and stays in float32, and so does attention itself.

    Args:
        data: ONNX, of ``export``.
        calibration: a few batches of usual texts (3 of 1,000 tokens do), to see which channels are large. Without any
            nothing is shrunk, and the answers are about half as exact.

    Raises:
        StillhouseError: where there is nothing to quantize.
    """
    check_installed()
    import onnx

    model = onnx.load_model_from_string(data)
    weights = _matrices(model.graph)
    sites: dict[str, list[int]] = {}
    for index, node in enumerate(model.graph.node):
        if node.op_type == "MatMul" and node.input[1] in weights:
            sites.setdefault(node.input[0], []).append(index)
    if not sites:
        raise StillhouseError("onnx: a model must have products of tokens by weights to be quantized, got none")
    keys = {value: tuple(weights[model.graph.node[each].input[1]].name for each in at) for value, at in sites.items()}
    factors = _factors(keys, _largest(data, list(sites), calibration))
    rewriting = _Rewriting(model.graph, weights)
    for value, at in sites.items():
        rewriting.products(value, at, "/".join(keys[value]), factors.get(keys[value]))
    rewriting.finish()
    if all(each.domain != CONTRIBUTED for each in model.opset_import):
        model.opset_import.add(domain=CONTRIBUTED, version=1)
    return bytes(model.SerializeToString())


def _matrices(graph: Any) -> dict[str, Any]:
    """The constant matrices of a graph by name; equal ones, which layers that share weights have, as the first."""
    found: dict[str, Any] = {}
    same: dict[tuple[tuple[int, ...], bytes], Any] = {}
    for each in graph.initializer:
        if len(each.dims) == 2 and each.data_type == FLOAT:
            found[each.name] = same.setdefault((tuple(each.dims), blake2b(each.raw_data).digest()), each)
    return found


def _largest(data: bytes, values: Sequence[str], calibration: Sequence[Batch]) -> dict[str, Floats]:
    """The largest magnitude of each channel of values inside a graph, (H,) each, over batches; padding counts."""
    if not calibration:
        return {}
    import onnx

    model = onnx.load_model_from_string(data)
    given = {each.name for each in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=each) for each in values if each not in given)
    session = _session(model.SerializeToString())
    largest: dict[str, Floats] = {}
    for batch in calibration:
        for name, value in zip(values, session.run(list(values), _feed(session, batch)), strict=True):
            seen = np.abs(value.reshape(-1, value.shape[-1])).max(axis=0)
            largest[name] = np.maximum(largest[name], seen) if name in largest else seen
    return largest


def _factors(keys: Mapping[str, Weights], largest: Mapping[str, Floats]) -> dict[Weights, Floats]:
    """By how much to shrink each channel of what is multiplied by these weights: (H,), at least 1."""
    shared: dict[Weights, Floats] = {}
    for value, seen in largest.items():
        shared[keys[value]] = np.maximum(shared.get(keys[value], np.float32(0)), seen)
    return {
        key: np.maximum(seen / max(float(seen.mean()), 1e-9), 1).astype(np.float32) ** np.float32(SMOOTHING)
        for key, seen in shared.items()
    }


def _quantized(weights: Floats) -> tuple[npt.NDArray[np.int8], Floats]:
    """Weights, (H, outputs), as int8 and the scale of each output."""
    scales = np.abs(weights).max(axis=0) / np.float32(127)
    scales[scales == 0] = 1
    return np.rint(weights / scales).astype(np.int8), scales


def _reads(node: Any) -> list[str]:
    """What a node reads, the branches of conditions and the bodies of loops included."""
    inner = [each.g for each in node.attribute if each.HasField("g")]
    return [*node.input, *(name for graph in inner for each in graph.node for name in _reads(each))]


class _Rewriting:
    """A graph whose products are being replaced by quantized ones."""

    def __init__(self, graph: Any, weights: Mapping[str, Any]) -> None:
        self.graph = graph
        self.weights = weights
        self.lengths = {each.name: each.dims[0] for each in graph.initializer if len(each.dims) == 1}
        self.biases = self._biases()
        self.made: set[str] = set()
        self.instead: dict[int, list[Any]] = {}  # new nodes by the index of the node whose place they take

    def _biases(self) -> dict[str, tuple[int, str]]:
        """Values that only the addition of a constant vector reads: index of that node, and name of the vector."""
        readers = Counter(each for node in self.graph.node for each in _reads(node))
        readers.update(each.name for each in self.graph.output)
        found = {}
        for index, node in enumerate(self.graph.node):
            if node.op_type == "Add":
                for value, other in (tuple(node.input), tuple(node.input)[::-1]):
                    if other in self.lengths and readers[value] == 1:
                        found[value] = (index, other)
        return found

    def _constant(self, name: str, array: npt.NDArray[Any]) -> None:
        from onnx import numpy_helper

        self.made.add(name)
        self.graph.initializer.append(numpy_helper.from_array(array, name))

    def products(self, value: str, at: Sequence[int], key: str, factor: Floats | None) -> None:
        """Replaces the products of one value, which are the nodes ``at``."""
        from onnx import helper

        shrunk = value
        if factor is not None and factor.max() > 1:
            shrunk, inverse = f"stillhouse.shrunk/{value}", f"stillhouse.inverse/{key}"
            if inverse not in self.made:
                self._constant(inverse, 1 / factor)
            self.instead[at[0]] = [helper.make_node("Mul", [value, inverse], [shrunk])]
        for index in at:
            self.instead.setdefault(index, []).append(self._product(index, shrunk, key, factor))

    def _product(self, index: int, shrunk: str, key: str, factor: Floats | None) -> Any:
        from onnx import helper, numpy_helper

        node = self.graph.node[index]
        stored = self.weights[node.input[1]]
        whole, scales = f"stillhouse.int8/{stored.name}/{key}", f"stillhouse.scales/{stored.name}/{key}"
        if whole not in self.made:
            matrix = numpy_helper.to_array(stored)
            integers, steps = _quantized(matrix if factor is None else matrix * factor[:, None])
            self._constant(whole, integers)
            self._constant(scales, steps)
        result = node.output[0]
        added, bias = self.biases.get(result, (index, ""))
        if bias and self.lengths[bias] == stored.dims[1]:
            result = self.graph.node[added].output[0]
            self.instead[added] = []
        else:
            bias = ""
        inputs = [shrunk, whole, scales, "", bias]
        return helper.make_node("DynamicQuantizeMatMul", inputs, [result], domain=CONTRIBUTED)

    def finish(self) -> None:
        """Puts the new nodes in their places, and leaves out constants that nobody reads any more."""
        nodes = [each for index, node in enumerate(self.graph.node) for each in self.instead.get(index, [node])]
        read = {name for node in nodes for name in _reads(node)} | {each.name for each in self.graph.output}
        constants = [each for each in self.graph.initializer if each.name in read]
        del self.graph.node[:], self.graph.initializer[:]
        self.graph.node.extend(nodes)
        self.graph.initializer.extend(constants)

"""LSTM and GRU layers as the ONNX operators of these names, for any number of rows and tokens.

The exporter has none of its own: it writes out what such a layer does step by step, as many as its example has tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn

from transferset import StillhouseError

#: Where torch has the gates that ONNX puts first, second, ...: input, output, forget, cell; update, reset, hidden.
_GATES = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2)}


def with_operators(network: nn.Module) -> nn.Module:
    """A copy of a network, to be exported and not to be run.

    Raises:
        StillhouseError: an LSTM with projections, which ONNX lacks.
    """
    copied = deepcopy(network)
    for layer in list(copied.modules()):
        # A kind of layer that does something else than these is the exporter's business.
        if isinstance(layer, nn.LSTM | nn.GRU) and type(layer).forward in (nn.LSTM.forward, nn.GRU.forward):
            _prepare(layer)
    return copied


def _prepare(layer: nn.LSTM | nn.GRU) -> None:
    if layer.proj_size:
        raise StillhouseError(f"onnx: an LSTM must have no projection, got proj_size={layer.proj_size}")
    for level in range(layer.num_layers):
        for name, weights in zip(("input", "state", "bias"), _weights(layer, level), strict=True):
            layer.register_buffer(f"onnx_{name}_{level}", weights)
    layer.forward = MethodType(_operator, layer)  # type: ignore[method-assign]


def _weights(layer: nn.LSTM | nn.GRU, level: int) -> list[Tensor]:
    """Weights of input and state, (sides, gates H, width), and biases, (sides, 2 gates H), in ONNX's order."""
    sides = [f"_l{level}{side}" for side in ("", "_reverse")[: _sides(layer)]]
    inputs, states = ([_turned(layer, f"weight_{kind}{side}") for side in sides] for kind in ("ih", "hh"))
    biases = [torch.cat([_turned(layer, f"bias_{kind}{side}") for kind in ("ih", "hh")]) for side in sides]
    return [torch.stack(each) for each in (inputs, states, biases)]


def _turned(layer: nn.LSTM | nn.GRU, name: str) -> Tensor:
    order = _GATES[layer.mode]
    if not layer.bias and name.startswith("bias"):
        return torch.zeros(len(order) * layer.hidden_size)
    gates = getattr(layer, name).detach().chunk(len(order))
    return torch.cat([gates[place] for place in order])


def _sides(layer: nn.LSTM | nn.GRU) -> int:
    return 2 if layer.bidirectional else 1


def _operator(layer: nn.LSTM | nn.GRU, vectors: Tensor, state: Any = None) -> tuple[Tensor, Any]:
    """What ``forward`` of the layer gives, as it is to stand in ONNX."""
    if not isinstance(vectors, Tensor) or vectors.dim() != 3:
        raise StillhouseError(
            f"onnx: an {layer.mode} must read a plain tensor of three axes, got a {type(vectors).__name__}:"
            " a packed sequence cannot be exported"
        )
    values = vectors.transpose(0, 1) if layer.batch_first else vectors
    starts: Sequence[Tensor] = () if state is None else (state,) if isinstance(state, Tensor) else state
    sides, ends = _sides(layer), []
    for level in range(layer.num_layers):
        begin = [each[level * sides : (level + 1) * sides] for each in starts]
        values, last = _level(layer, level, values, begin)
        ends.append(last)
    final = [torch.cat(each) for each in zip(*ends, strict=True)]
    found = values.transpose(0, 1) if layer.batch_first else values
    return found, final[0] if layer.mode == "GRU" else tuple(final)


def _level(
    layer: nn.LSTM | nn.GRU, level: int, values: Tensor, begin: Sequence[Tensor]
) -> tuple[Tensor, Sequence[Tensor]]:
    """The states (T, B, sides H) of one layer, and its last ones, each (sides, B, H)."""
    tokens, rows, sides, width = values.shape[0], values.shape[1], _sides(layer), layer.hidden_size
    settings: dict[str, Any] = {"hidden_size": width, "direction": "bidirectional" if sides == 2 else "forward"}
    if layer.mode == "GRU":
        settings["linear_before_reset"] = 1  # torch multiplies by the reset gate after the product
    finals = 1 if layer.mode == "GRU" else 2  # the state of a GRU; state and cell of an LSTM
    weights = [getattr(layer, f"onnx_{name}_{level}") for name in ("input", "state", "bias")]
    states, *last = torch.onnx.ops.symbolic_multi_out(
        layer.mode,
        [values, *weights, None, *begin],
        settings,
        dtypes=[values.dtype] * (1 + finals),
        shapes=[[tokens, sides, rows, width], *[[sides, rows, width]] * finals],
    )
    return states.transpose(1, 2).reshape(tokens, rows, sides * width), last

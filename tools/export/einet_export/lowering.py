"""Lowers a trace to operations of a block program, one for one, and refuses what programs cannot say. No
fusing here."""

import dataclasses
import math
import operator

import torch
import torch.utils._pytree as pytree

from .network import MOST_DIMENSION, MOST_ELEMENTS, MOST_INPUTS, MOST_WINDOW, ExportError
from .trace import layer_of, part_of, place_of


@dataclasses.dataclass(eq=False)
class Operation:
    """An operation and the register that it writes. Before _fuse it may also be a batch_norm or a
    log_softmax."""

    name: str  # as in docs/packages.md
    inputs: list  # of Operations
    shape: tuple
    part: tuple  # ("trunk", block) or ("exit", block)
    layer: str  # the module's path inside its part
    place: str  # for messages
    parameters: dict = dataclasses.field(default_factory=dict)  # as in docs/packages.md
    weight: torch.Tensor = None
    bias: torch.Tensor = None
    relu: bool = False


class Lowering:
    """Walks the trace. Values are Operations, or tensors where they do not depend on the input."""

    def __init__(self, traced):
        self.operations = []
        self.answers = []  # by block: the Operation that the exit returned
        self._handlers = {
            "aten.conv2d.default": self._conv2d,
            "aten.conv2d.padding": self._conv2d,
            "aten.linear.default": self._linear,
            "aten._native_batch_norm_legit_no_training.default": self._batch_norm,
            "aten._native_batch_norm_legit.no_stats": self._refuse_batch_norm,
            "aten._native_batch_norm_legit_functional.default": self._refuse_batch_norm,
            "aten.max_pool2d.default": self._max_pool,
            "aten.avg_pool2d.default": self._average_pool,
            "aten.adaptive_avg_pool2d.default": self._adaptive_pool,
            "aten.mean.dim": self._mean,
            "aten.add.Tensor": self._add,
            "aten.cat.default": self._cat,
            "aten.softmax.int": self._softmax,
            "aten.log_softmax.int": self._softmax,
            "aten.relu.default": lambda node, a: self._emit(node, "relu", [a["self"]]),
            "einet.local_response_norm.default": self._lrn,
            "aten.native_dropout.default": self._refuse_dropout,  # off, it leaves no more than a clone
            **dict.fromkeys(
                [
                    "aten.view.default",
                    "aten._unsafe_view.default",
                    "aten.squeeze.default",
                    "aten.squeeze.dim",
                    "aten.squeeze.dims",
                    "aten.unsqueeze.default",
                    "aten.clone.default",
                    "aten.alias.default",
                    "aten.detach.default",
                    "aten._to_copy.default",
                ],
                self._reshape,
            ),
        }
        signature = traced.graph_signature
        if signature.buffers_to_mutate:
            raise ExportError(
                f"the network changes its buffer {next(iter(signature.buffers_to_mutate.values()))} while it "
                f"runs; block programs keep nothing from one input to the next"
            )
        state = {**traced.constants, **traced.state_dict}
        names = {
            **signature.inputs_to_parameters,
            **signature.inputs_to_buffers,
            **signature.inputs_to_lifted_tensor_constants,
        }
        values = {}
        by_name = {}
        for node in traced.graph.nodes:
            if node.op == "placeholder" and node.name in names:
                values[node] = state[names[node.name]].detach()
            elif node.op == "placeholder":
                self.input = values[node] = Operation(
                    "input", [], tuple(node.meta["val"].shape[1:]), ("trunk", -1), "", ""
                )
            elif node.op == "call_function":
                values[node] = self._call(node, values)
            elif node.op != "output":
                self._refuse(node, f"{node.op} has no place in a block program")
            by_name[node.name] = values.get(node)
        self.answers = [by_name[name] for name in signature.user_outputs]

    def _refuse(self, node, what):
        raise ExportError(f"{place_of(node)}: {what}")

    def _call(self, node, values):
        bound = pytree.tree_map_only(torch.fx.Node, lambda n: values[n], (node.args, node.kwargs))
        inputs = [v for v in pytree.tree_leaves(bound) if isinstance(v, Operation)]
        if node.target is operator.getitem:
            return bound[0][0][bound[0][1]]
        name = str(node.target)
        if name == "aten._assert_tensor_metadata.default":
            return None
        if not inputs:
            return node.target(*bound[0], **bound[1])
        handler = self._handlers.get(name)
        if handler is None:
            self._refuse(
                node,
                f"the operation {name.removeprefix('aten.')} is not one of block programs, which have "
                f"convolution, linear, batch norm, relu, max and average pooling, local response norm, "
                f"addition, concatenation, flatten and softmax",
            )
        part = part_of(node)
        for x in inputs:
            if x.part[0] == "exit" and x.part != part:
                self._refuse(
                    node,
                    f"{part[0]} {part[1]} reads what exit {x.part[1]} computes in {x.place}, which may be "
                    f"skipped; an operation in place on a trunk's output, such as ReLU(inplace=True), does "
                    f"that too",
                )
        return handler(node, _arguments(node, bound))

    def _emit(self, node, name, inputs, shape=None, **more):
        for x in inputs:
            if not isinstance(x, Operation):
                self._refuse(
                    node, f"{name}: an input is a constant tensor {list(x.shape)}; expected computed values"
                )
        if shape is None:
            shape = self._shape(node)
        op = Operation(name, list(inputs), shape, part_of(node), layer_of(node), place_of(node), **more)
        self.operations.append(op)
        return op

    def _shape(self, node):
        value = node.meta["val"]
        shape = list(value.shape)
        if value.dtype != torch.float32:
            self._refuse(
                node,
                f"gives {value.dtype}; block programs compute in torch.float32: call .float() on the network",
            )
        if not all(isinstance(n, int) for n in shape):
            self._refuse(node, f"gives a size that depends on the input's values, {shape}")
        if len(shape) not in (2, 4) or shape[0] != 1:
            self._refuse(node, f"gives {shape}; block programs know [1, channels, height, width] and [1, N]")
        if not all(1 <= n <= MOST_DIMENSION for n in shape) or math.prod(shape) > MOST_ELEMENTS:
            self._refuse(
                node,
                f"gives {shape}; a dimension may be 1 to {MOST_DIMENSION}, elements at most {MOST_ELEMENTS}",
            )
        return tuple(shape[1:])

    def _constant(self, node, a, key, fallback=None):
        value = a[key]
        if value is None:
            return fallback
        if isinstance(value, Operation):
            self._refuse(node, f"its {key} is computed from the input; expected parameters or constants")
        if value.dtype != torch.float32:
            self._refuse(
                node, f"its {key} is {value.dtype}; expected torch.float32: call .float() on the network"
            )
        if not torch.isfinite(value).all():
            self._refuse(node, f"its {key} holds values that are not finite")
        return value

    def _window(self, node, kernel, stride, padding):
        if max(*kernel, *stride, *padding) > MOST_WINDOW:
            self._refuse(
                node, f"kernel {kernel}, stride {stride} or padding {padding} is above {MOST_WINDOW}"
            )
        return {"kernel": list(kernel), "stride": list(stride), "padding": list(padding)}

    def _conv2d(self, node, a):
        weight = self._constant(node, a, "weight")
        kernel, stride, padding = list(weight.shape[2:]), a["stride"], a["padding"]
        if any(d != 1 and k != 1 for d, k in zip(_pair(a["dilation"]), kernel)):
            self._refuse(node, f"convolution with dilation {a['dilation']}; block programs have none")
        if padding == "same" and any(k % 2 == 0 for k in kernel):
            self._refuse(node, f'padding="same" with the even kernel {kernel} is not symmetric')
        if isinstance(padding, str):
            padding = [k // 2 for k in kernel] if padding == "same" else 0
        parameters = {
            "channels": weight.shape[0],
            **self._window(node, kernel, _pair(stride), _pair(padding)),
            "groups": a["groups"],
        }
        return self._emit(
            node,
            "convolution",
            [a["input"]],
            parameters=parameters,
            weight=weight,
            bias=self._constant(node, a, "bias", torch.zeros(weight.shape[0])),
        )

    def _linear(self, node, a):
        weight = self._constant(node, a, "weight")
        if len(a["input"].shape) != 1:
            self._refuse(
                node,
                f"a linear layer gets the map {list(a['input'].shape)}; expected a vector: flatten it first",
            )
        return self._emit(
            node,
            "linear",
            [a["input"]],
            parameters={"size": weight.shape[0]},
            weight=weight,
            bias=self._constant(node, a, "bias", torch.zeros(weight.shape[0])),
        )

    def _batch_norm(self, node, a):
        mean, variance = self._constant(node, a, "running_mean"), self._constant(node, a, "running_var")
        scale = (
            self._constant(node, a, "weight", torch.ones_like(mean)).double()
            / (variance.double() + a["eps"]).sqrt()
        )
        shift = self._constant(node, a, "bias", torch.zeros_like(mean)).double() - mean.double() * scale
        # The trace's operation has three outputs, of which a getitem takes the first.
        return [self._emit(node, "batch_norm", [a["input"]], a["input"].shape, weight=scale, bias=shift)]

    def _refuse_batch_norm(self, node, a):
        self._refuse(node, "batch norm without running statistics: a single sample has none of its own")

    def _max_pool(self, node, a):
        if set(_pair(a["dilation"])) != {1}:
            self._refuse(node, f"max pooling with dilation {a['dilation']}; block programs have none")
        return self._pool(node, a, "max_pool")

    def _average_pool(self, node, a):
        if a["divisor_override"] is not None or (not a["count_include_pad"] and max(_pair(a["padding"])) > 0):
            self._refuse(
                node,
                "average pooling in block programs counts padded zeros (count_include_pad=True) and divides "
                "by the kernel's size",
            )
        return self._pool(node, a, "average_pool")

    def _pool(self, node, a, name):
        kernel, padding = _pair(a["kernel_size"]), _pair(a["padding"])
        stride = _pair(a["stride"]) if a["stride"] else kernel
        x, y = a["self"].shape, self._shape(node)
        if list(y[1:]) != [(n + 2 * p - k) // s + 1 for n, k, s, p in zip(x[1:], kernel, stride, padding)]:
            self._refuse(
                node, f"pooling with ceil_mode=True gives {list(y)} here; sizes round down in block programs"
            )
        return self._emit(node, name, [a["self"]], parameters=self._window(node, kernel, stride, padding))

    def _adaptive_pool(self, node, a):
        x, y = a["self"].shape, self._shape(node)
        if any(n % m != 0 for n, m in zip(x[1:], y[1:])):
            self._refuse(
                node,
                f"adaptive average pooling from {list(x)} to {list(y)}; the output must divide the input",
            )
        kernel = [n // m for n, m in zip(x[1:], y[1:])]
        return self._emit(
            node, "average_pool", [a["self"]], y, parameters=self._window(node, kernel, kernel, [0, 0])
        )

    def _mean(self, node, a):
        x = a["self"]
        if len(x.shape) != 3 or a["dim"] is None or sorted(d % 4 for d in a["dim"]) != [2, 3]:
            self._refuse(
                node, f"a mean over the dimensions {a['dim']}; block programs have it over height and width"
            )
        y = self._shape(node)
        parameters = self._window(node, x.shape[1:], x.shape[1:], [0, 0])
        pooled = self._emit(node, "average_pool", [x], (x.shape[0], 1, 1), parameters=parameters)
        return pooled if len(y) == 3 else self._emit(node, "flatten", [pooled])

    def _add(self, node, a):
        x, y = a["self"], a["other"]
        if (
            not isinstance(x, Operation)
            or not isinstance(y, Operation)
            or x.shape != y.shape
            or a["alpha"] != 1
        ):
            self._refuse(
                node,
                f"an addition of {describe(x)} and {describe(y)}"
                + (f" times {a['alpha']}" if a["alpha"] != 1 else "")
                + "; block programs add two computed values of one shape",
            )
        return self._emit(node, "addition", [x, y])

    def _cat(self, node, a):
        if a["dim"] not in (1, 1 - len(node.meta["val"].shape)) or len(a["tensors"]) > MOST_INPUTS:
            self._refuse(
                node,
                f"a concatenation of {len(a['tensors'])} tensors along dimension {a['dim']}; block programs "
                f"join at most {MOST_INPUTS} along the channels, dimension 1",
            )
        return self._emit(node, "concatenation", a["tensors"])

    def _softmax(self, node, a):
        if len(a["self"].shape) != 1 or a["dim"] not in (1, -1):
            self._refuse(
                node,
                f"a softmax of {list(a['self'].shape)} along dimension {a['dim']}; block programs have it of "
                f"vectors",
            )
        return self._emit(node, "log_softmax" if "log" in str(node.target) else "softmax", [a["self"]])

    def _lrn(self, node, a):
        if len(a["x"].shape) != 3 or a["size"] % 2 == 0 or a["size"] > 255:
            self._refuse(
                node,
                f"local response norm of size {a['size']} of {list(a['x'].shape)}; block programs have odd "
                f"sizes up to 255 and maps",
            )
        if not (0 <= a["alpha"] <= 1e6 and 0 <= a["beta"] <= 16 and 1e-6 <= a["k"] <= 1e6):
            self._refuse(
                node,
                f"local response norm with alpha {a['alpha']}, beta {a['beta']} and k {a['k']}; block "
                f"programs have alpha from 0 to 1e6, beta from 0 to 16, k from 1e-6 to 1e6",
            )
        return self._emit(
            node,
            "local_response_norm",
            [a["x"]],
            parameters={key: a[key] for key in ("size", "alpha", "beta", "k")},
        )

    def _refuse_dropout(self, node, a):
        self._refuse(node, "dropout that is on outside training; answers would be random")

    def _reshape(self, node, a):
        x = next(v for v in a.values() if isinstance(v, Operation))
        y = self._shape(node)
        if y == x.shape:
            return x
        if y != (math.prod(x.shape),):
            self._refuse(
                node,
                f"{str(node.target).split('.')[1]} from {list(x.shape)} to {list(y)}; block programs only "
                f"flatten a map to a vector",
            )
        return self._emit(node, "flatten", [x])


def _arguments(node, bound):
    """{name of the parameter in the operation's schema: value}, defaults included."""
    schema = node.target._schema.arguments
    values = {p.name: p.default_value for p in schema if p.has_default_value()}
    return {**values, **{p.name: v for p, v in zip(schema, bound[0])}, **bound[1]}


def _pair(value):
    value = [value] if isinstance(value, int) else list(value)
    return value * 2 if len(value) == 1 else value


def describe(x):
    if isinstance(x, Operation):
        return f"a computed {list(x.shape)}"
    return f"a constant {list(x.shape)}" if isinstance(x, torch.Tensor) else f"the number {x}"

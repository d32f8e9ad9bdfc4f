"""Hypernetworks as A1111's web UI trains them: small networks before keys and values of attention.

A file has, for each width of what a U-Net attends to, one network for the keys and one for the
values: ``{768: (keys, values), "layer_structure": [1, 2, 1], "activation_func": "relu", ...}``. A
network of ``layer_structure`` 1, 2, 1 leads from the width to twice that and back. As there, x
becomes x + strength * network(x) before ``to_k`` and ``to_v``, in cross-attention and, for the
widths of the U-Net's own features, in self-attention.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pez.errors import PezError
from pez.files import user_path
from pez.generation.options import split_weight
from pez.models.trust import check_file

MOST_LAYERS = 32
# beside these every activation of torch is known by its name in lower case
_ACTIVATIONS: dict[str, type[nn.Module]] = {"swish": nn.Hardswish}
# before layers were numbered
_OLD = {"linear1": "linear.0", "linear2": "linear.1"}

Pair = tuple[nn.Module, nn.Module]


def add_hypernetworks(pipe: Any, sources: Sequence[str]) -> None:
    """Put each ``file=strength`` before the attention of the pipeline's U-Net, one after the other.

    PezError for a pipeline without a U-Net, a file that is no hypernetwork, and one for another
    base model.
    """
    for text in sources:
        source, strength = split_weight(text)
        unet = getattr(pipe, "unet", None)
        if unet is None:
            raise PezError(f"{type(pipe).__name__} has no U-Net; omit --hypernet.")
        path = user_path(source)
        if not path.exists():
            raise PezError(f"--hypernet {source} does not exist; check its name.")
        if path.is_dir():
            raise PezError(f"--hypernet {source} is a folder; name a file in it.")
        held = read_hypernetwork(path, source)
        found = [part for part in _attentions(unet) if _width(part) in held]
        crossed = unet.config.cross_attention_dim
        if crossed not in held or not found:
            widths = ", ".join(map(str, sorted(held)))
            raise PezError(
                f"{source} is a hypernetwork for another base model: it knows the widths {widths}, "
                f"and this generator reads prompts of {crossed}."
            )
        for attention in found:
            keys, values = held[_width(attention)]
            attention.to_k.register_forward_pre_hook(_before(keys, strength))
            attention.to_v.register_forward_pre_hook(_before(values, strength))


def read_hypernetwork(path: Path, source: str) -> dict[int, Pair]:
    """The networks for keys and values of each width. PezError for a file that is none, or damaged;
    it is read without running code.
    """
    check_file(path)
    try:
        held: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a pickle may fail in any way
        why = str(error).split("\n")[0][:120]
        if "Weights only" in why:
            why = "it cannot be read without running code of its own"
        raise PezError(f"{source} is no hypernetwork of A1111's web UI ({why}).") from None
    layers = held if isinstance(held, Mapping) else {}
    widths = [width for width in layers if isinstance(width, int) and not isinstance(width, bool)]
    pairs = [layers[width] for width in widths]
    if not widths or not all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in pairs):
        raise PezError(f"{source} is no hypernetwork of A1111's web UI: it has no layers by width.")
    return {
        width: (_network(width, pair[0], layers, source), _network(width, pair[1], layers, source))
        for width, pair in zip(widths, pairs, strict=True)
    }


def _network(width: int, state: Any, settings: Mapping[Any, Any], source: str) -> nn.Module:
    """One network, built as its file says, with the file's tensors."""
    try:
        with torch.device("meta"):  # sizes alone, as a file may claim any
            net = nn.Sequential(*_layers(width, settings))
        named = {_renamed(name): tensor for name, tensor in dict(state).items()}
        plain = {name.removeprefix("linear."): tensor.float() for name, tensor in named.items()}
        net.load_state_dict(plain, strict=True, assign=True)
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        why = " ".join(str(error).split())[:160]
        raise PezError(f"{source} is a hypernetwork that does not fit itself: {why}") from None
    return net.eval().requires_grad_(False)


def _layers(width: int, settings: Mapping[Any, Any]) -> list[nn.Module]:
    """The layers in their order, as positions number the tensors: what has none counts too."""
    structure = [float(n) for n in settings.get("layer_structure") or (1, 2, 1)]
    if structure[0] != 1 or structure[-1] != 1 or not 2 <= len(structure) <= MOST_LAYERS:
        raise ValueError(f"its layer_structure is {structure[:8]}")
    sizes = [int(width * n) for n in structure]
    drops, made = _dropouts(len(structure), settings), list[nn.Module]()
    act = settings.get("activation_func")
    for n, (size, following) in enumerate(pairwise(sizes)):
        made.append(nn.Linear(size, following))
        last = n == len(sizes) - 2
        if act not in (None, "linear") and (not last or settings.get("activate_output", True)):
            made.append(_activation(str(act)))
        if settings.get("is_layer_norm"):
            made.append(nn.LayerNorm(following))
        if drops[n + 1]:
            made.append(nn.Dropout(0.0))  # of training
    return made


def _dropouts(count: int, settings: Mapping[Any, Any]) -> list[bool]:
    """Behind which sizes there is a dropout; older files say it by two switches."""
    told = settings.get("dropout_structure")
    if told is not None:
        return [float(one) > 0 for one in told]
    inner = bool(settings.get("use_dropout"))
    last = inner and bool(settings.get("last_layer_dropout"))
    return [False, *[inner] * (count - 3), last, False][-count:]


def _activation(name: str) -> nn.Module:
    known = {
        kind.__name__.lower(): kind
        for kind in vars(nn.modules.activation).values()
        if inspect.isclass(kind) and issubclass(kind, nn.Module)
    }
    return (known | _ACTIVATIONS)[name.lower()]()


def _renamed(name: str) -> str:
    head, _, rest = name.partition(".")
    return f"{_OLD[head]}.{rest}" if head in _OLD else name


def _attentions(unet: nn.Module) -> list[Any]:
    """The attentions of the U-Net's transformer blocks, to itself and to the prompt."""
    return [
        part
        for name, part in unet.named_modules()
        if "transformer_blocks" in name and hasattr(part, "to_k") and hasattr(part, "to_v")
    ]


def _width(attention: Any) -> int:
    """The numbers of what keys and values are made of."""
    return int(attention.to_k.in_features)


def _before(net: nn.Module, strength: float) -> Callable[[nn.Module, Any], Any]:
    """A hook that passes x + strength * net(x) on."""

    def hook(_module: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        x = given[0]
        return (x + strength * net.to(x.device, x.dtype)(x), *given[1:])

    return hook

"""Hypernetworks change keys and values as A1111's web UI applies them."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_pipelines import TEXT, options, save_sdxl
from torch import Tensor, nn

from pez.errors import PezError
from pez.generation import open_painter
from pez.generation.additions import add_loras
from pez.generation.files import save_picture
from pez.generation.hypernetworks import read_hypernetwork
from pez.generation.syntax import lora_weights, without_tags

CROSS, OWN = 192, 128  # what mini-sd's prompts and its own features have


def network(width: int, *layers: nn.Module) -> OrderedDict[str, Tensor]:
    """The tensors of layers as the web UI names them."""
    net = nn.Sequential(*layers or (nn.Linear(width, 2 * width), nn.Linear(2 * width, width)))
    return OrderedDict((f"linear.{name}", tensor) for name, tensor in net.state_dict().items())


def write(path: Path, **more: Any) -> str:
    torch.manual_seed(4)
    held: dict[Any, Any] = {width: (network(width), network(width)) for width in (CROSS, OWN)}
    torch.save(held | {"step": 3, "name": path.stem, "layer_structure": [1, 2, 1]} | more, path)
    return str(path)


class Theirs:
    """Attention as the web UI computes it with a hypernetwork, by plain softmax."""

    def __init__(self, held: Any, strength: float) -> None:
        self.held, self.strength = held, strength

    def __call__(
        self, attn: Any, hidden_states: Tensor, encoder_hidden_states: Any = None, **_: Any
    ) -> Tensor:
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        keys = values = context
        if context.shape[2] in self.held:
            nets = self.held[context.shape[2]]
            keys, values = (self.changed(context, net) for net in nets)
        q, k, v = attn.to_q(hidden_states), attn.to_k(keys), attn.to_v(values)
        q, k, v = (x.unflatten(2, (attn.heads, -1)).transpose(1, 2) for x in (q, k, v))
        weights = (q @ k.transpose(2, 3) / q.shape[3] ** 0.5).softmax(-1)
        return attn.to_out[0]((weights @ v).transpose(1, 2).flatten(2))

    def changed(self, x: Tensor, state: Any) -> Tensor:
        """x + strength * (W2 (W1 x + b1) + b2)."""
        first = x @ state["linear.0.weight"].T + state["linear.0.bias"]
        return x + self.strength * (first @ state["linear.1.weight"].T + state["linear.1.bias"])


def test_keys_and_values_are_those_of_the_web_ui(tmp_path: Path) -> None:
    path = write(tmp_path / "ink.pt")
    ours = open_painter(options(hypernet=(f"{path}=0.5",)))
    theirs = open_painter(options())
    plain = theirs.paint([TEXT], [0])[0]
    theirs.pipe.unet.set_attn_processor(Theirs(torch.load(path, weights_only=True), 0.5))
    found = ours.paint([TEXT], [0])[0]
    expected = theirs.paint([TEXT], [0])[0]
    differ = lambda a, b: max(  # noqa: E731
        abs(x - y) for x, y in zip(a.tobytes(), b.tobytes(), strict=True)
    )
    assert differ(found, expected) <= 1 < differ(found, plain)
    none = open_painter(options(hypernet=(f"{path}=0",)))
    assert differ(none.paint([TEXT], [0])[0], plain) == 0


def test_layers_are_built_as_the_file_says(tmp_path: Path) -> None:
    torch.manual_seed(5)
    layers = [nn.Linear(8, 16), nn.ReLU(), nn.LayerNorm(16), nn.Dropout(0.3)]
    layers += [nn.Linear(16, 16), nn.ReLU(), nn.LayerNorm(16)]
    layers += [nn.Linear(16, 8), nn.ReLU(), nn.LayerNorm(8)]
    path = tmp_path / "deep.pt"
    said = {"layer_structure": [1, 2, 2, 1], "activation_func": "relu", "is_layer_norm": True}
    torch.save({8: (network(8, *layers),) * 2, "dropout_structure": [0, 0.3, 0, 0]} | said, path)
    keys, _ = read_hypernetwork(path, "deep.pt")[8]
    x = torch.randn(2, 8)
    torch.testing.assert_close(keys(x), nn.Sequential(*layers).eval()(x))
    # older files: no structure, layers numbered by their names, dropout by a switch
    first, second = nn.Linear(8, 16), nn.Linear(16, 8)
    old = {f"linear1.{k}": v for k, v in first.state_dict().items()}
    old |= {f"linear2.{k}": v for k, v in second.state_dict().items()}
    torch.save({8: (old, old)}, path)
    torch.testing.assert_close(read_hypernetwork(path, "old")[8][1](x), second(first(x)))
    for name, kind in (("swish", nn.Hardswish), ("leakyrelu", nn.LeakyReLU), ("Mish", nn.Mish)):
        said = {"activation_func": name, "activate_output": False}
        torch.save({8: (network(8, nn.Linear(8, 16), kind(), nn.Linear(16, 8)),) * 2} | said, path)
        read = read_hypernetwork(path, name)[8][0]
        assert isinstance(read[1], kind) and len(read) == 3  # type: ignore[index, arg-type]


class Evil:
    def __reduce__(self) -> Any:
        return (print, ("code ran",))


@pytest.mark.parametrize(
    ("held", "why"),
    [
        ({8: (Evil(), {})}, "without running code"),
        ({"foo": torch.zeros(3)}, "has no layers by width"),
        ({8: (network(8), network(4))}, "does not fit itself"),
        ({8: (network(8),) * 2, "layer_structure": [1, 1e12, 1]}, "does not fit itself"),
        ({8: (network(8),) * 2, "layer_structure": [1, float("inf"), 1]}, "does not fit itself"),
        ({8: (network(8),) * 2, "activation_func": "magic"}, "does not fit itself"),
    ],
)
def test_damaged_and_evil_files_are_told(
    held: Any, why: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    torch.save(held, tmp_path / "h.pt")
    with pytest.raises(PezError, match=f"h.pt.*{why}"):
        read_hypernetwork(tmp_path / "h.pt", "h.pt")
    assert "code ran" not in capfd.readouterr().out


def test_a_file_of_another_base_model_or_kind_is_told(tmp_path: Path) -> None:
    path = write(tmp_path / "ink.pt")
    xl = save_sdxl(tmp_path / "xl")
    with pytest.raises(PezError, match=r"another base model: it knows the widths 128, 192"):
        open_painter(options(generator=xl, hypernet=(path,)))
    with pytest.raises(PezError, match="give it as --hypernet"):
        add_loras(open_painter(options()).pipe, (path,))
    with pytest.raises(PezError, match=r"--hypernet none\.pt does not exist"):
        open_painter(options(hypernet=("none.pt",)))


def test_tags_name_hypernetworks_that_are_given(tmp_path: Path) -> None:
    path = write(tmp_path / "Ink.pt")
    painter = open_painter(options(hypernet=(f"{path}=0.8",)))
    assert painter.encoding.read(f"{TEXT}<hypernet:ink:0.8>") == TEXT
    with pytest.raises(PezError, match=r"--hypernet ink\.pt=0\.5"):
        painter.encoding.read(f"{TEXT} <hypernet:ink:0.5>")
    with pytest.raises(PezError, match=r"--lora ink\.safetensors=0\.8"):
        without_tags("<lora:ink:0.8>", {"hypernet:ink": 0.8, **lora_weights(())})
    picture = painter.paint([TEXT], [0])[0]
    save_picture(picture, tmp_path / "p.png", TEXT, 0, painter.settings)
    from PIL import Image

    with Image.open(tmp_path / "p.png") as saved:
        told = saved.text["parameters"]  # type: ignore[attr-defined]
    assert told.startswith(f"{TEXT} <hypernet:Ink:0.8>\n")
    before = painter.settings
    write(tmp_path / "Ink.pt", step=4)
    assert open_painter(options(hypernet=(f"{path}=0.8",))).settings != before

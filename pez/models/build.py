"""open_clip models built as their weights were trained.

The activation and the preparation of pictures belong to the weights, not to the architecture.
Folders and hub models say both in their ``open_clip_config.json``, published tags in open_clip's
table. ``open_clip.create_model`` takes mean, deviation, interpolation and resizing from a tag,
but its activation only on request: ``ViT-L-14/openai`` needs QuickGELU.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch

QUICK = "-quickgelu"  # architectures of this ending are the plain ones with QuickGELU
PREPARATION = ("mean", "std", "interpolation", "resize_mode")


def build_model(
    architecture: str,
    pretrained: str | None,
    device: torch.device | str = "cpu",
    weights: bool = True,
) -> Any:
    """The open_clip model of an architecture (or ``local-dir:``, ``hf-hub:``) with a tag or a
    file of weights; its ``visual.preprocess_cfg`` says how pictures are prepared.

    Without ``weights`` it is the same model with random ones, and nothing is fetched for a tag.
    Raises what open_clip, the hub and the file readers raise.
    """
    import open_clip

    tag = tag_config(architecture, pretrained)
    # weights are loaded below; a tag's would be fetched even if unused
    how: dict[str, Any] = {"load_weights": False, "pretrained_text": False}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "QuickGELU mismatch")  # see ``doubt``
        model = open_clip.create_model(
            architecture,
            force_quick_gelu=bool(tag.get("quick_gelu")),
            force_preprocess_cfg=tag,
            **how,
        )
    if weights:
        ours = bool(tag) or architecture.startswith("hf-hub:")
        _put_in(model, _weights_file(architecture, pretrained, tag), ours)
    return model.to(device)


def _weights_file(architecture: str, pretrained: str | None, tag: dict[str, Any]) -> str:
    """The file of weights that open_clip uses for these names, fetched if necessary."""
    from open_clip.factory import _find_checkpoint_in_dir
    from open_clip.pretrained import download_pretrained, download_pretrained_from_hf

    schema, _, place = architecture.rpartition(":")
    found: str | None = pretrained
    if tag:
        found = download_pretrained(tag)
    elif schema == "local-dir":
        found = _find_checkpoint_in_dir(Path(place))
    elif schema == "hf-hub":
        found = download_pretrained_from_hf(place)
    if not found:
        raise FileNotFoundError(f"there are no weights in {place}")
    return found


def _put_in(model: Any, file: str, stays: bool) -> None:
    """Give ``model`` the weights of ``file`` as open_clip does. A file that ``stays`` unchanged,
    as in the hub's cache, is memory-mapped instead of copied: for ViT-H-14, model and file
    together take 4.9 GB instead of 8.8.
    """
    from open_clip.factory import load_checkpoint

    numpy = Path(file).suffix in (".npz", ".npy")  # big_vision's, copied one by one
    load_checkpoint(_Assigned(model) if stays and not numpy else model, file)  # type: ignore[arg-type]


class _Assigned:
    """A model whose weights are replaced by memory-mapped tensors instead of overwritten."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def load_state_dict(self, state: dict[str, Any], strict: bool = True) -> Any:
        """As a module's own, by assignment."""
        return self._model.load_state_dict(state, strict=strict, assign=True)


def open_tokenizer(architecture: str) -> Any:
    """open_clip's tokenizer of an architecture (or ``local-dir:``, ``hf-hub:``); one of
    transformers may not run code of its own. Raises what open_clip and the hub raise.
    """
    import open_clip
    from open_clip.factory import get_model_config

    text = (get_model_config(architecture) or {}).get("text_cfg", {})
    closed: dict[str, Any] = {"trust_remote_code": False} if text.get("hf_tokenizer_name") else {}
    return open_clip.get_tokenizer(architecture, **closed)


def tag_config(architecture: str, pretrained: str | None) -> dict[str, Any]:
    """open_clip's table entry for a tag; empty for files, folders and hub models."""
    from open_clip.pretrained import get_pretrained_cfg

    return get_pretrained_cfg(architecture, pretrained) if pretrained else {}


def doubt(architecture: str, pretrained: str | None) -> str:
    """What is uncertain about how a model is built, in a sentence; empty if nothing is.

    A file of weights names neither its activation nor how pictures are prepared. open_clip's
    table and its architectures disagree on one pair (roberta-ViT-B-32).
    """
    from open_clip.factory import get_model_config

    if architecture.startswith("hf-hub:"):
        return _doubt_of_hub(architecture)
    if pretrained is None:
        return ""  # a folder's configuration says everything
    quick = bool((get_model_config(architecture) or {}).get("quick_gelu"))
    tag = tag_config(architecture, pretrained)
    if tag:
        if quick and not tag.get("quick_gelu"):
            return (
                "open_clip's architecture says QuickGELU and its tag does not; it is built with "
                "QuickGELU, as open_clip builds it."
            )
        return ""
    return _doubt_of_file(architecture, quick)


def _doubt_of_file(architecture: str, quick: bool) -> str:
    import open_clip
    from open_clip.transform import PreprocessCfg

    parts = []
    if not quick and architecture + QUICK in open_clip.list_models():
        parts.append(
            f"the activation is GELU; name {architecture}{QUICK} if they were trained with "
            "QuickGELU, as OpenAI's, MetaCLIP's and DFN's"
        )
    usual = PreprocessCfg()
    plain = architecture.removesuffix(QUICK)
    tags = [tag_config(plain, tag) for tag in open_clip.list_pretrained_tags_by_model(plain)]
    if any(tag[key] != getattr(usual, key) for tag in tags for key in PREPARATION):
        parts.append(
            "pictures are prepared as for OpenAI's CLIP, unlike those of published weights of "
            "this architecture; a folder with open_clip_config.json (local-dir:) can say how"
        )
    if not parts:
        return ""
    return f"a file does not say how its weights were trained: {'; '.join(parts)}."


def _doubt_of_hub(architecture: str) -> str:
    """Hub models whose file lacks the QuickGELU that open_clip's table has for them."""
    import open_clip
    from open_clip.factory import get_model_config

    repository = architecture.removeprefix("hf-hub:")
    for known, tag in open_clip.list_pretrained():
        config = tag_config(known, tag)
        if config.get("quick_gelu") and Path(config["hf_hub"]) == Path(repository):
            if (get_model_config(architecture) or {}).get("quick_gelu"):
                return ""
            return (
                f"its configuration says GELU, open_clip's table QuickGELU; {known}/{tag} is "
                "built with the latter."
            )
    return ""

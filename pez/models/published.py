"""Models of open_clip on the hub, downloaded into the cache before open_clip reads them."""

from __future__ import annotations

import json
from pathlib import Path

from pez.errors import PezError
from pez.files import user_path
from pez.models.failures import FOLDER, loading_error
from pez.models.hub import fetch_one
from pez.models.names import OFFLINE_CLIP

HUB = "hf-hub:"
CONFIG = "open_clip_config.json"
WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
# the files that a tokenizer of transformers may have
_WORDS = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "sentencepiece.bpe.model",
    "spiece.model",
    "tokenizer.model",
)


def fetch(architecture: str, pretrained: str | None) -> None:
    """Download the files of a ``hf-hub:`` model, or of an architecture's tag, into the cache.

    open_clip would do so, but hides why a download failed and tries a file of another name.
    Errors of the hub's client pass through.
    """
    from open_clip.pretrained import get_pretrained_cfg

    if architecture.startswith(HUB):
        repo = architecture.removeprefix(HUB)
        fetch_one(repo, [CONFIG])
        fetch_one(repo, WEIGHTS)
    elif pretrained:
        place = get_pretrained_cfg(architecture, pretrained).get("hf_hub", "")
        repo, _, file = place.rpartition("/")
        if repo:
            safe = file.rpartition(".")[0] + ".safetensors"
            fetch_one(repo, [safe, file] if file else WEIGHTS)


def pinned(repo: str, revision: str, name: str) -> Path:
    """The folder of a ``hf-hub:`` model as it was at ``revision``, which open_clip cannot
    request. PezError if it is unavailable.
    """
    from huggingface_hub.errors import EntryNotFoundError

    try:
        config = fetch_one(repo, [CONFIG], revision)
        fetch_one(repo, WEIGHTS, revision)
        text = json.loads(config.read_text(encoding="utf-8")).get("model_cfg", {})
        for file in _WORDS if text.get("text_cfg", {}).get("hf_tokenizer_name") else ():
            try:
                fetch_one(repo, [file], revision)
            except EntryNotFoundError:
                continue  # no tokenizer has all of them
    except Exception as error:  # the client and its libraries raise dozens of kinds
        raise failed(name, error) from error
    return config.parent


def failed(name: str, error: Exception) -> PezError:
    """The user's error for ``error``, raised while loading the model ``name``."""
    file = user_path(name.partition("/")[2])
    local = name.startswith("local-dir:") or (not name.startswith(HUB) and file.is_file())
    if local and "TorchScript" in str(error):  # as OpenAI published its weights
        return PezError(
            f"{file} is a TorchScript program, not weights alone; name a tag, such as openai."
        )
    check = FOLDER if name.startswith("local-dir:") else "that the file fits"
    instead = f"add --model {OFFLINE_CLIP} for the small offline model"
    return loading_error(name, error, instead, local=check if local else "")

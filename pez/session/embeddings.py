"""Soft prompts on disk: textual-inversion files, as image generators load them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pez.errors import PezError
from pez.files import Own, output_path, write_whole
from pez.formats.embeddings import PAIR, SINGLE
from pez.result import Result
from pez.sources import text_key

MOST = 1 << 20  # bytes of metadata that are read
SDXL = (768, 1280)  # widths of SDXL's two text encoders


def save_embeddings(result: Result, path: str | Path) -> None:
    """Write the embeddings of ``result``, one row a token, to ``path`` (safetensors).

    A single model's are stored under ``emb_params``, which diffusers' ``load_textual_inversion``
    and the common web UIs read; those of SDXL's pair under ``clip_l`` and ``clip_g``, of other
    pairs under ``model_0``, ``model_1``... They are input embeddings of the free places: where
    the template has fixed words, type these around the token. The file's metadata hold
    template, model, target, scores and the nearest text. Raises PezError without embeddings, for a
    name that other tools would read as a pickle, or if the file cannot be written or is there and
    was not written by this.
    """
    from safetensors.torch import save

    if result.embeddings is None:
        raise PezError("this result has no embeddings; search with --method soft.")
    parts = [part.float().contiguous().clone() for part in result.embeddings]
    names = part_names([part.shape[1] for part in parts])
    content = save(dict(zip(names, parts, strict=True)), _notes_of(result))
    remedy = "choose another --output-embeddings"
    write_whole(check_ending(output_path(path)), content, remedy=remedy, own=EMBEDDINGS)


def check_ending(path: Path) -> Path:
    """``path``, unless it has a name of pickled tensors, such as ``.pt``: their readers would find
    none in it. PezError for that.
    """
    if path.suffix.lower() in (".pt", ".pth", ".bin", ".ckpt"):
        raise PezError(
            f"--output-embeddings {path}: embeddings are written as safetensors, not as "
            f"{path.suffix}; name the file {path.with_suffix('.safetensors').name}."
        )
    return path


def holds_embeddings(path: Path) -> bool:
    """Whether a file's metadata are those that :func:`save_embeddings` writes."""
    return {"template", "soft_score"} <= _notes(path).keys()


def target_of(path: Path) -> str | None:
    """The :func:`target_mark` of the embeddings that :func:`save_embeddings` wrote to a file; None
    if it is not such a file, or an earlier version's.
    """
    return _notes(path).get("target")


def target_mark(name: str) -> str:
    """How a file tells whose embeddings it holds: by a hash, as files are shared and the names of
    folders may be private.
    """
    return text_key(name)


def holds_embeddings_of(path: Path, result: Result) -> bool:
    """Whether a file has what :func:`save_embeddings` would write for a result."""
    return _notes(path) == _notes_of(result)


def _notes_of(result: Result) -> dict[str, str]:
    return {
        "template": str(result.options.get("template", "{}")),
        "model": result.model,
        "prompt": result.prompt,
        "score": f"{result.score:.6f}",
        "soft_score": f"{result.soft_score:.6f}",
        "target": target_mark("\n".join(result.targets)),
    }


def _notes(path: Path) -> dict[str, Any]:
    """The metadata of a file of tensors; none of other files."""
    if not path.is_file():
        return {}
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            notes = json.loads(file.read(min(size, MOST))).get("__metadata__", {})
        return notes if isinstance(notes, dict) else {}
    except (ValueError, AttributeError, RecursionError):
        return {}


EMBEDDINGS = Own("a file of embeddings that pez wrote", holds_embeddings)


def part_names(widths: list[int]) -> list[str]:
    """The names of the models' embeddings in a file."""
    if len(widths) == 1:
        return [SINGLE]
    if tuple(widths) == SDXL:
        return list(PAIR)
    return [f"model_{n}" for n in range(len(widths))]

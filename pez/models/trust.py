"""What may come with a model: weights and settings, never code.

Settings are read here as plain data before a library sees them, and what would make a library
run Python, fetch another repository or read elsewhere is refused in one sentence. In addition,
every loader is given ``trust_remote_code=False`` where it takes it: left open, transformers asks
on a terminal, and a typed "y" runs the repository's code (:func:`unasked`). Pickled weights are
read by torch's ``weights_only`` reader alone, in open_clip, timm, transformers and diffusers alike.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pez.errors import PezError
from pez.files import read_plain, user_path
from pez.models.failures import FOLDER, NO_CODE
from pez.models.family import PARTS
from pez.models.hub import fetch_one

CONFIG, ADAPTER = "config.json", "adapter_config.json"
MOST_SETTINGS = 16 << 20  # bytes of a file of settings
MOST_SIZE = 10**7  # of any number that open_clip builds a model by
MOST_WORDS = 1 << 30  # bytes of a tokenizer's file
_WORDS = (".json", ".txt", ".model")
# of ``tokenizer_kwargs``, what open_clip's tokenizers take; the rest would reach transformers
_TOKENIZER = {
    *("clean", "strip_sep_token", "language", "use_fast", "add_bos_token", "add_eos_token"),
    "additional_special_tokens",
}
_ATTENTION = (None, "eager", "sdpa")  # others may be fetched as compiled code
_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?", re.ASCII)
_OWN = "pez.models.patches"  # the shipped generator's autoencoder


def no_code(name: str, what: str) -> PezError:
    """The error for a model that would run code."""
    return PezError(f"{name} {what}; {NO_CODE}.")


@contextmanager
def unasked() -> Iterator[None]:
    """Within, transformers refuses code where it would ask on a terminal: open_clip, and what it
    loads within a model or a tokenizer, do not pass ``trust_remote_code`` on.
    """
    from transformers import dynamic_module_utils as known

    before = known.TIME_OUT_REMOTE_CODE
    known.TIME_OUT_REMOTE_CODE = 0  # seconds to wait for an answer
    try:
        yield
    finally:
        known.TIME_OUT_REMOTE_CODE = before


def check_settings(found: Any, name: str) -> None:
    """PezError if the JSON of a model ``name`` switches code on, at any depth."""
    for key, value in _entries(found):
        if key == "trust_remote_code" and value:
            raise no_code(name, "asks to run its own code (trust_remote_code)")
        if key.endswith("attn_implementation"):
            listed = list(value.values()) if isinstance(value, dict) else [value]
            if bad := [one for one in listed if one not in _ATTENTION]:
                raise no_code(name, f"asks for another code for attention ({bad[0]!r})")


def _entries(found: Any) -> Iterator[tuple[str, Any]]:
    """The keys and values of all tables in some JSON; without recursion, as it may be deep."""
    left = [found]
    while left:
        one = left.pop()
        if isinstance(one, dict):
            yield from ((str(key), value) for key, value in one.items())
            left += one.values()
        elif isinstance(one, list | tuple):
            left += one


def read_settings(file: Path) -> Any:
    """The JSON in a file of settings; None if it is none, which its loader reports."""
    try:
        return json.loads(read_plain(file, MOST_SETTINGS))
    except (OSError, ValueError, RecursionError):
        return None


def check_folder(folder: Path, name: str) -> None:
    """PezError if a folder has settings that switch code on, or pipes, devices and endless
    files where a model's files should be.
    """
    try:
        inside = sorted(folder.iterdir())
    except OSError as error:
        raise PezError(f"{folder} cannot be read ({error.strerror}); check the name.") from None
    for file in inside:
        if file.suffix not in PARTS or file.is_dir() or not file.exists():
            continue
        if not file.is_file():
            raise PezError(f"{file} is a pipe or a device, not a file of {name}; remove it.")
        if file.suffix in _WORDS and file.stat().st_size > MOST_WORDS:
            raise PezError(f"{file} is over {MOST_WORDS >> 30} GB, too much for words; remove it.")
        if file.suffix == ".json" and "config" in file.name:
            check_settings(read_settings(file), name)


def check_file(file: Path) -> None:
    """PezError for weights in a pipe or a device, for ones that are no safetensors, which
    diffusers would read whole to find out, and for those with the ending of the other format, as
    libraries go by names.
    """
    from safetensors import SafetensorError, safe_open

    if not file.is_file():
        raise PezError(f"{file} is a pipe or a device; give a plain file of weights.")
    with file.open("rb") as opened:
        start = opened.read(9)
    pickled = start.startswith((b"PK", b"\x80")) and start[8:] != b"{"
    if pickled and file.suffix == ".safetensors":
        raise PezError(f"{file} is no safetensors, but a file of torch.save; name it .pt.")
    if start[8:] == b"{" and not pickled and file.suffix != ".safetensors":
        raise PezError(f"{file} holds safetensors; name it {file.stem}.safetensors.")
    if file.suffix == ".safetensors":
        try:
            with safe_open(file, "pt"):
                pass
        except (OSError, SafetensorError) as error:
            raise PezError(f"{file} is damaged ({error}); copy or download it again.") from None


def check_model(source: str, revision: str | None, name: str, part: str = "") -> None:
    """Check what transformers would read of a model: a folder, or a repository of the hub,
    whose settings are fetched into the cache; ``part`` is a folder within.

    PezError if it switches code on, and for an adapter, in whose place transformers would fetch
    another model. What cannot be fetched is left to the loader, which reports it.
    """
    folder = user_path(source)
    if folder.is_dir():
        check_folder(folder / part, name)
        adapter = read_settings(folder / part / ADAPTER)
    else:
        check_settings(_of_hub(source, revision, part, CONFIG), name)
        adapter = _of_hub(source, revision, part, ADAPTER)
    if isinstance(adapter, dict) and "base_model_name_or_path" in adapter:
        raise PezError(
            f"{name} is an adapter of {adapter['base_model_name_or_path']}, not a model; merge "
            "the two into a folder and name that."
        )


def _of_hub(repo: str, revision: str | None, part: str, file: str) -> Any:
    """The JSON in a file of a repository; None if there is none or it cannot be fetched."""
    try:
        found = fetch_one(repo, [f"{part}/{file}".lstrip("/")], revision)
    except Exception:  # the client raises dozens of kinds; the loader will meet them again
        return None
    return read_settings(found)


def check_open_clip(found: Any, name: str, folder: Path | None = None) -> list[str]:
    """PezError if an ``open_clip_config.json`` switches code on or reads outside of its
    ``folder`` (None on the hub). Returns the other repositories of the hub that it names.
    """
    model = found.get("model_cfg") if isinstance(found, dict) else None
    if not isinstance(model, dict):
        check = f"check {FOLDER}" if folder else "check the name"
        raise PezError(f"open_clip_config.json of {name} has no model_cfg; {check}.")
    check_settings(found, name)
    for key, value in _entries(model):
        if isinstance(value, int | float) and value > MOST_SIZE:
            raise PezError(
                f"open_clip_config.json of {name} sets {key} to {value}, more than any model has; "
                "correct that entry."
            )
    text, vision = (_table(model, key) for key in ("text_cfg", "vision_cfg"))
    for key in _table(text, "tokenizer_kwargs"):
        if key not in _TOKENIZER:
            raise PezError(
                f"open_clip_config.json of {name} sets {key!r} of its tokenizer, which pez does "
                "not pass on; remove that entry."
            )
    if ":" in str(image := vision.get("timm_model_name") or ""):
        raise PezError(
            f"open_clip_config.json of {name} takes its image tower from {image}; name a model "
            "that is complete."
        )
    elsewhere = []
    if (tower := text.get("hf_model_name")) and not _check_inside(tower, name, folder):
        elsewhere.append(_hub_id(tower, "hf_model_name", name))
        _check_tower(_of_hub(elsewhere[0], None, "", CONFIG), elsewhere[0], name)
    if (words := text.get("hf_tokenizer_name")) and folder is None:
        elsewhere.append(_hub_id(words, "hf_tokenizer_name", name))  # else those of the folder
    own = name.partition(":")[2].partition("@")[0]
    return [place for place in dict.fromkeys(elsewhere) if place != own]


def _check_inside(place: Any, name: str, folder: Path | None) -> bool:
    """Whether a text tower's settings are in the model's own folder; PezError as above."""
    if folder is None or not isinstance(place, str):
        return False
    inner = Path(place)
    if not inner.resolve().is_relative_to(folder.resolve()) or not inner.exists():
        return False
    _check_tower(read_settings(inner / CONFIG if inner.is_dir() else inner), place, name)
    return True


def _check_tower(settings: Any, place: str, name: str) -> None:
    """Settings of a text tower of transformers, which open_clip builds without asking whether
    code may run.
    """
    check_settings(settings, name)
    if isinstance(settings, dict) and settings.get("auto_map"):
        raise no_code(name, f"takes its text tower from {place}, which needs its own code")


def _hub_id(place: Any, key: str, name: str) -> str:
    """``place`` if it can only be a repository of the hub."""
    if isinstance(place, str) and _ID.fullmatch(place) and not Path(place).exists():
        return place
    raise PezError(
        f"open_clip_config.json of {name} takes its {key} from {place!r}, which is neither in "
        "its folder nor an id of the hub; correct that entry."
    )


def _table(found: Any, key: str) -> dict[str, Any]:
    """The table ``key`` of a table; empty if there is none."""
    inner = found.get(key) if isinstance(found, dict) else None
    return inner if isinstance(inner, dict) else {}


def check_pipeline(parts: Mapping[str, Any], source: str, revision: str | None, name: str) -> None:
    """PezError if a pipeline with the ``model_index.json`` ``parts`` needs code other than
    diffusers' and transformers' own.
    """
    check_settings(dict(parts), name)
    if not isinstance(parts.get("_class_name"), str):
        raise no_code(name, "is drawn by a pipeline of its own")
    folder = Path(source)
    if folder.is_dir():
        check_folder(folder, name)
    for part, what in parts.items():
        if part.startswith("_") or not isinstance(what, list | tuple) or len(what) != 2:
            continue  # a setting, not a part
        library, kind = what
        if not isinstance(library, str) and not isinstance(kind, str):
            continue  # a part that is left out, or a pair of numbers
        if not isinstance(library, str) or not isinstance(kind, str) or not _is_known(library):
            raise no_code(name, f"needs {library}.{kind} as its {part}")
        if library == "transformers" and kind.startswith("Auto"):
            raise no_code(name, f"leaves open what its {part} is ({kind})")
        if (folder / part).is_dir():
            check_folder(folder / part, name)
        elif library == "transformers" and not folder.is_dir():
            check_model(source, revision, name, part)


def _is_known(library: str) -> bool:
    """Whether a part's classes are those of a library, or of a pipeline's room in diffusers."""
    if library in ("diffusers", "transformers", _OWN):
        return True
    return library.isidentifier() and find_spec(f"diffusers.pipelines.{library}") is not None

"""CelebA: faces with 40 attributes, from the hub's parquet or the original text files.

Z. Liu, P. Luo, X. Wang, X. Tang, *Deep Learning Face Attributes in the Wild*, ICCV 2015. From
the hub ``tpremoli/CelebA-attrs`` is read: splits train, validation, test in
``data/train-00000-of-00003.parquet`` and so on; columns ``image`` (a struct of bytes and path),
40 attributes of -1 and 1, and a text ``prompt_string`` (names, files and values verified in
published code that reads them, not on the hub itself).

CelebA has no captions. Those given here are MADE, by :func:`celeba_caption` from the attributes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pez.datasets.item import Example, cell_captions, split_names
from pez.datasets.parquet import parquet_files, parquet_rows
from pez.errors import PezError
from pez.formats.places import Within
from pez.formats.text import read_lines

HUB = "tpremoli/CelebA-attrs"
LAYOUT = "data/train-*.parquet (or list_attr_celeba.txt, list_eval_partition.txt, img_align_celeba)"
_SPLITS = ("train", "validation", "test")  # by their number in list_eval_partition
_HAIR = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair", "Straight_Hair", "Wavy_Hair")
_WITH = {
    "Bangs": "bangs",
    "Receding_Hairline": "a receding hairline",
    "Bushy_Eyebrows": "bushy eyebrows",
    "Arched_Eyebrows": "arched eyebrows",
    "Narrow_Eyes": "narrow eyes",
    "Eyeglasses": "glasses",
    "Pale_Skin": "pale skin",
    "Rosy_Cheeks": "rosy cheeks",
    "Mustache": "a moustache",
    "Goatee": "a goatee",
    "5_o_Clock_Shadow": "stubble",
    "Sideburns": "sideburns",
    "Double_Chin": "a double chin",
}
_WEARING = {
    "Wearing_Hat": "a hat",
    "Heavy_Makeup": "heavy makeup",
    "Wearing_Lipstick": "lipstick",
    "Wearing_Earrings": "earrings",
    "Wearing_Necklace": "a necklace",
    "Wearing_Necktie": "a necktie",
}


def load(split: str, path: str) -> Iterator[Example]:
    """Items with their attributes as booleans; the id is the picture's name (``000001.jpg``).

    ``path`` is a folder of the original files (also the ``.csv`` form of the two lists), or of
    parquet files, or nothing for the hub. In parquet files without such names the id is the
    split's file and the row. The set's own ``prompt_string`` is the second caption.
    """
    for folder in (Path(path), Path(path, "Anno")) if path else ():
        for name in ("list_attr_celeba.txt", "list_attr_celeba.csv"):
            if (folder / name).is_file():
                return _from_lists(folder / name, Path(path), split)
    return _from_parquet(split, path)


def celeba_caption(attributes: Mapping[str, bool]) -> str:
    """A caption made from attributes: "a photo of a young woman with wavy blond hair, smiling".

    Omits raters' opinions (attractive, big nose, chubby) and what no picture shows.
    """
    has = {name for name, value in attributes.items() if value}
    age = "young " if "Young" in has else ""
    bald = "bald " if "Bald" in has else ""
    who = f"{age}{bald}{'man' if 'Male' in has else 'woman'}"
    hair = [name.removesuffix("_Hair").lower() for name in reversed(_HAIR) if name in has]
    features = [" ".join([*hair, "hair"])] if hair and not bald else []
    features += [text for name, text in _WITH.items() if name in has]
    if "Male" in has and attributes.get("No_Beard") is False:
        features += ["a beard"] if not has & {"Goatee", "Mustache", "5_o_Clock_Shadow"} else []
    wearing = [text for name, text in _WEARING.items() if name in has]
    mood = ["smiling"] if "Smiling" in has else []
    mood += ["mouth slightly open"] if "Mouth_Slightly_Open" in has and not mood else []
    parts = [f"a {'blurry ' if 'Blurry' in has else ''}photo of a {who}"]
    parts[0] += f" with {_and(features)}" if features else ""
    return ", ".join([*parts, *mood, *([f"wearing {_and(wearing)}"] if wearing else [])])


def _and(parts: list[str]) -> str:
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))


def _from_parquet(split: str, path: str) -> Iterator[Example]:
    for place, row, read in parquet_rows(parquet_files(HUB, split, path, LAYOUT), "image"):
        picture = row.pop("image", None)
        told = picture.get("path") if isinstance(picture, dict) else None
        name = told if isinstance(told, str) and told else Path(place).name
        texts = cell_captions(row.pop("prompt_string", None))
        attributes = {
            k: v == 1 for k, v in row.items() if isinstance(v, int | float) and v in (-1, 0, 1)
        }
        captions = (celeba_caption(attributes), *texts)
        yield Example(Path(name).name, captions, attributes, place, read)


def _from_lists(file: Path, root: Path, split: str) -> Iterator[Example]:
    """The original lists: a count, the names, a line of -1 and 1 for each picture."""
    parts = _partition(file, root)
    if split and not parts:
        raise PezError(f"{root} has no list_eval_partition.txt, which defines the splits; add it.")
    wanted = {n for n, name in enumerate(_SPLITS) if not split or name in split_names(split)}
    if not wanted:
        raise PezError(f"CelebA has no split {split!r}; there are {', '.join(_SPLITS)}.")
    pictures = next(
        (p for p in (root / "img_align_celeba", root / "Img" / "img_align_celeba") if p.is_dir()),
        root,
    )
    if (pictures / "img_align_celeba").is_dir():  # some archives hold the folder twice
        pictures /= "img_align_celeba"
    names: list[str] = []
    for number, cells in enumerate(_lines(file)):
        if len(cells) == 1 and not number:
            continue
        if not names:
            names = cells[1:] if cells[0] == "image_id" else cells
            continue
        if len(cells) != len(names) + 1 or set(cells[1:]) - {"1", "-1", "0"}:
            raise PezError(f"{file} is damaged at {cells[0]!r}; download it again.")
        if parts and parts.get(cells[0]) not in wanted:
            continue
        attributes = {n: value == "1" for n, value in zip(names, cells[1:], strict=True)}
        source = str(pictures / cells[0])
        captions = (celeba_caption(attributes),)
        yield Example(cells[0], captions, attributes, source, Within(str(pictures), source))


def _partition(file: Path, root: Path) -> dict[str, Any]:
    """The number of the split of each picture, if there is such a list."""
    for folder in (file.parent, root, root / "Eval"):
        listed = folder / f"list_eval_partition{file.suffix}"
        if listed.is_file():
            rows = (cells for cells in _lines(listed) if len(cells) == 2)
            return {name: int(part) for name, part in rows if part in ("0", "1", "2")}
    return {}


def _lines(file: Path) -> Iterator[list[str]]:
    """The words of each line of a list; commas separate them in the ``.csv`` form."""
    for _, line in read_lines(file, "download it again"):
        if cells := line.replace(",", " ").split():
            yield cells

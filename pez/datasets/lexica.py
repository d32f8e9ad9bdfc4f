"""Lexica.art: pictures made by Stable Diffusion with the prompts that made them.

X. Shen, Y. Qu, M. Backes, Y. Zhang, *Prompt Stealing Attacks Against Text-to-Image Generation
Models*, USENIX Security 2024. On the hub ``vera365/lexica_dataset`` is read: splits train and
test; columns ``image`` (a struct of bytes and path), ``prompt, id, promptid, width, height, seed,
grid, model, nsfw, subject, modifier10, modifier10_vector`` (names verified in published code
that reads them, not on the hub itself; nor that its files are parquet).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pez.datasets.item import Example, split_row
from pez.datasets.parquet import parquet_files, parquet_rows

HUB = "vera365/lexica_dataset"
LAYOUT = "data/train-*.parquet and data/test-*.parquet"


def load(split: str, path: str) -> Iterator[Example]:
    """Items with their prompt, which is also the only caption; the id is Lexica's, or the file and
    row if the file has no ids.
    """
    files = parquet_files(HUB, split, path, LAYOUT)
    for place, row, read in parquet_rows(files, "image", skip=("modifier10_vector",)):
        row.pop("image", None)
        key = str(row.pop("id", None) or Path(place).name)
        captions, attributes, prompt = split_row(row)
        yield Example(key, captions, attributes, place, read, prompt)

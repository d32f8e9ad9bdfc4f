"""LAION: addresses of pictures on the web with their alt texts.

C. Schuhmann and others, *LAION-5B*, NeurIPS 2022. On the hub ``laion/relaion2B-en-research-safe``
is read, which requires accepting its terms; columns ``url`` and
``caption`` (verified in published code that reads them, not on the hub itself; older releases
have ``URL`` and ``TEXT``, which are read too). There are no splits: ``split`` may name files,
as ``part-00000``, and for a draw it should, as the whole has two billion rows.

Many addresses are dead by now. It is better to download a part once and use the data set
``webdataset`` on the result::

    img2dataset --url_list part-00000.parquet --input_format parquet --url_col url
        --caption_col caption --output_format webdataset --output_folder laion
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from pez.datasets.item import Example, split_row
from pez.datasets.parquet import parquet_files, parquet_rows
from pez.images import read_bytes
from pez.sources import text_key

HUB = "laion/relaion2B-en-research-safe"
LAYOUT = "its part-*.parquet files, or better use img2dataset and the data set webdataset"


def load(split: str, path: str) -> Iterator[Example]:
    """Items of parquet files of addresses, at ``path`` or on the hub.

    The id is 16 hex digits of the sha256 of address and text, so it is the same in any file. A
    picture is downloaded on request; rows without an address are omitted.
    """
    for _, row, _ in parquet_rows(parquet_files(HUB, split, path, LAYOUT)):
        cells = {k.lower() if k in ("URL", "TEXT") else k: v for k, v in row.items()}
        source = cells.pop("url", None)
        if isinstance(source, str) and source.lower().startswith(("http://", "https://")):
            captions, attributes, _ = split_row(cells)
            key = text_key("\n".join([source, *captions]))
            yield Example(key, captions, attributes, source, partial(read_bytes, source))

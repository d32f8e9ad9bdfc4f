"""Write data/banks/captions.txt: captions of the synthetic world for ``--method pez-bank``.

    python data/make_bank.py

Captions of random scenes by the grammar that the shipped models were trained on, without
duplicates and without the captions of shipped samples.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pool
import world

HERE = Path(__file__).parent
COUNT = 2000


def main() -> None:
    taken: set[str] = set()
    for path in (HERE / "samples").glob("*/metadata.jsonl"):
        for line in path.read_text(encoding="utf-8").splitlines():
            taken.update(json.loads(line)["captions"])
    rng = np.random.default_rng([2024, pool.HELD_OUT + 200])
    bank: dict[str, None] = {}
    while len(bank) < COUNT:
        caption = world.caption(world.sample_scene(rng, two=0.25), rng)
        if caption not in taken:
            bank[caption] = None
    folder = HERE / "banks"
    folder.mkdir(exist_ok=True)
    (folder / "captions.txt").write_text("\n".join(bank) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

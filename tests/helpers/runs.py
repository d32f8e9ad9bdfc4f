"""Made-up runs for tests of the report: what pez evaluate would have written, in its folder."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from pez.evaluation.store import INDEX, Record, Store

PLAN = '[methods]\npez = { lengths = [4, 8] }  # <b>"quoted" & plain</b>\n'


def key_of(*parts: object) -> str:
    """A key as long as a real one."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def png(*colour: int, side: int = 16) -> bytes:
    """A small picture's file."""
    file = io.BytesIO()
    Image.new("RGB", (side, side), (colour[0], colour[1], colour[2])).save(file, "png")
    return file.getvalue()


class MadeRun:
    """A folder to which prompts are added one by one, with figures that the test chooses."""

    def __init__(self, folder: Path, generator: str = "mini-sd") -> None:
        self.store, self.generator = Store(folder), generator
        self.store.create()
        self.lines: list[str] = []

    def add(
        self,
        dataset: str,
        item: str,
        method: str,
        similarity: Mapping[str, Sequence[float]],
        length: int | None = None,
        model: str = "",
        seed: int | None = None,
        error: str = "",
        perplexity: float | None = None,
        readings: Mapping[str, float] | None = None,
        pictures: Sequence[bytes] = (),
        original: bytes = b"",
        caption: str = "",
        **out: Any,
    ) -> None:
        """One prompt: a list of similarities, one for each picture, by judge."""
        key = key_of(dataset, item, method, length, model, seed)
        data = original or png(200, 40, 40)
        source = self.store.put_original(data, hashlib.sha256(data).hexdigest(), ".png")
        self.store.put(Record("prompt", key, {}, {} if error else out, error, out.get("took", 0.5)))
        self.store.put(Record("language", key, {}, {"perplexity": perplexity}))
        shots = []
        for n in range(max(map(len, similarity.values()), default=0)):
            own = key_of(key, n)
            picture = pictures[n] if pictures else png(30, 90, 40 * n)
            if not error:
                self.store.put(Record("picture", own, {}), {".png": picture})
            judges = {judge: key_of(own, judge) for judge in similarity}
            for judge, values in similarity.items():
                if not error:
                    score = {"similarity": values[n]}
                    self.store.put(Record("score", judges[judge], {}, score))
            shots.append({"generator": self.generator, "image_seed": n, "key": own})
            shots[-1]["judges"] = judges
        for judge, value in (readings or {}).items():
            self.store.put(Record("reading", key_of(key, judge), {}, {"text_score": value}))
        line = {"prompt": key, "language": key, "pictures": shots, "source": source}
        line |= {"readings": {judge: key_of(key, judge) for judge in readings or {}}}
        line |= {"dataset": dataset, "split": "test", "item": item, "caption": caption}
        line |= {"method": method, "length": length, "search_model": model, "seed": seed}
        self.lines.append(json.dumps(line))

    def write(self, plan: str = PLAN) -> Path:
        """The folder, with its index and plan."""
        self.store.put_text(INDEX, "\n".join(self.lines) + "\n")
        self.store.put_text("plan.toml", plan)
        return self.store.folder

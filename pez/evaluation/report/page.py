"""One self-contained HTML file: jinja2 fills report.html.j2."""

from __future__ import annotations

import base64
import hashlib
import json
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pez.evaluation.report.charts import length_charts, search_charts, svg, told
from pez.evaluation.report.gallery import Gallery
from pez.evaluation.report.material import Material, unfinished
from pez.evaluation.report.rows import (
    Row,
    by_dataset,
    failures,
    item_of,
    photo_models,
    setting_of,
    small_models,
    unique,
)
from pez.evaluation.report.summary import Summary
from pez.evaluation.report.tables import Heat, Section, heats, written
from pez.version import __version__

HERE = Path(__file__).parent
MOST_FAILURES = 40  # reasons listed; the rest are counted
MOST_HEATS = 4  # matrices shown at once; the rest unfold
_PACKAGES = ("torch", "open_clip_torch", "transformers", "diffusers", "numpy", "pillow")


def render(
    material: Material, summaries: Sequence[Summary], tables: Sequence[Section], gallery: Gallery
) -> str:
    """The page as text."""
    script = (HERE / "report.js").read_text(encoding="utf-8")
    failed = failures(material.rows)
    small = small_models(material.rows)
    photographs = photo_models(small)
    view = {
        "title": _title(material),
        "style": (HERE / "report.css").read_text(encoding="utf-8"),
        "script": script,
        "script_hash": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        "facts": _facts(material.rows),
        "small": small,
        "synthetic": [name for name in small if name not in photographs],
        "photographs": photographs,
        "sections": tables,
        "heats": [(heat, _shades(heat)) for heat in heats(material.rows)],
        "most_heats": MOST_HEATS,
        "lengths": {
            section.view: length_charts(s for s in summaries if s.view == section.view)
            for section in tables
        },
        "search_charts": search_charts(material.traces),
        "gallery": gallery,
        "failures": failed[:MOST_FAILURES],
        "failures_left": failed[MOST_FAILURES:],
        "failed_rows": sum(failure.count for failure in failed),
        "unfinished": unfinished(material.rows),
        "plan": material.plan,
        "settings": _settings(material.record),
        "versions": _versions(material.record),
    }
    return _environment().get_template("report.html.j2").render(view)


def _environment() -> Environment:
    """Everything is escaped: prompts and file names are untrusted text."""
    loader = FileSystemLoader(HERE)
    made = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"svg": svg, "told": told, "written": written}
    return made


def _title(material: Material) -> str:
    plan = material.record.get("plan")
    title = plan.get("title") if isinstance(plan, dict) else ""
    return str(title or material.folder.resolve().name)


def _facts(rows: Sequence[Row]) -> list[tuple[str, str]]:
    """What the run measured, in a few words."""
    prompts = {(setting_of(row), item_of(row), row.get("seed")) for row in rows}
    pictures = {row["picture"] for row in rows if row.get("picture")}
    named = {
        "searched": unique(row["search_model"] for row in rows if row.get("search_model")),
        "drawn by": unique(row["generator"] for row in rows if row.get("generator")),
        "judged by": unique(row["judge"] for row in rows if row.get("judge")),
    }
    facts = [("data sets", ", ".join(by_dataset(rows)))]
    facts += [(what, ", ".join(map(str, names))) for what, names in named.items() if names]
    counts = {"items": len({item_of(row) for row in rows}), "prompts": len(prompts)}
    counts |= {"pictures": len(pictures)}
    return facts + [(what, written(count, 0)) for what, count in counts.items()]


def _shades(heat: Heat) -> list[list[float]]:
    """Where each figure is between the matrix's least and greatest, 0 to 1."""
    means = [figure.mean for line in heat.figures for figure in line if figure]
    low, span = min(means), (max(means) - min(means)) or 1.0
    return [[(f.mean - low) / span if f else 0.0 for f in line] for line in heat.figures]


def _settings(record: dict[str, Any]) -> str:
    kept = {name: value for name, value in record.items() if name != "versions"}
    return json.dumps(kept, indent=2, ensure_ascii=False) if kept else ""


def _versions(record: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Package, version of the run if it noted one, and version that wrote the report."""
    noted = record.get("versions")
    noted = noted if isinstance(noted, dict) else {}
    here = {"pez": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            here[package] = version(package)
        except PackageNotFoundError:
            continue
    names = unique([*noted, *here])
    return [(name, str(noted.get(name, "–")), here.get(name, "–")) for name in names]

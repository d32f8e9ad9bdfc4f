"""The factorial comparison of methods: its cells, how settings are chosen, its figures."""

from __future__ import annotations

import json
import sys
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pez.methods import METHODS, method_class, open_method
from pez.models import Reader

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from benchmarks import factorial  # noqa: E402
from benchmarks import factorial_page as page  # noqa: E402
from benchmarks.cells import (  # noqa: E402
    NO_STEP,
    OWN,
    Cell,
    Entry,
    cells_of,
    missing_starts,
    plans_ahead,
)
from benchmarks.choose import Trial, best_of, trials_of, written  # noqa: E402
from benchmarks.factorial import (  # noqa: E402
    Batch,
    World,
    begun,
    carry_out,
    with_readings,
)
from benchmarks.factorial_plan import renamed  # noqa: E402
from benchmarks.factorial_table import PLACE, Table  # noqa: E402
from benchmarks.photos import frequent_words  # noqa: E402
from benchmarks.running import slots_of, spent_by  # noqa: E402

PLAN: dict[str, Any] = tomllib.loads((ROOT / "benchmarks" / "factorial.toml").read_text())
CHOSEN: dict[Any, Any] = {}


def row(method: str, start: str, form: str, item: int, judge: float, **more: Any) -> dict:
    own = {"block": "cells", "method": method, "start": start, "form": form, "models": "photo"}
    own |= {"axis": "passes", "budget": 50, "seed": 0, "item": item, "judge": judge, "rank": 1}
    own |= {"searched": 0.5, "right": None, "language": 0, "drafts": 0, "passes": 50}
    return own | {"seconds": 0.1} | more


# ---- the plan


# of which each cell has a prompt in words or phrases
ALL = [name for name in METHODS if method_class(name).usual_style != "sentence"]


def test_every_method_has_every_start_and_form_or_a_reason() -> None:
    cells = cells_of(PLAN, CHOSEN, [])
    seen = {(c.method, c.start, c.form) for c in cells if c.block == "cells"}
    for name in ALL:
        own = name == "pez-bank"
        for start in [OWN] if own else PLAN["starts"]:
            for form in ("words", "phrases"):
                assert (name, start, form) in seen
    assert (NO_STEP, "pursuit", "phrases") in seen and ("gcg", "random", "five words") not in seen
    told = " ".join(missing_starts(PLAN))
    assert "`pez-bank` begins at the best prompts of its bank" in told and "not in" not in told


def test_a_slow_method_is_searched_on_less_everywhere_and_that_is_said() -> None:
    (slow,) = (table for table in PLAN["methods"] if table.get("items"))
    cells = [c for c in cells_of(PLAN, CHOSEN, []) if c.method == slow["name"]]
    cells += [cell for (name, *_), cell in trials_of(PLAN) if name == slow["name"]]
    assert {cell.items for cell in cells} == {slow["items"]}
    assert {cell.seeds for cell in cells if cell.block != "choose"} == {slow["seeds"]}
    told = " ".join(missing_starts(PLAN))
    assert f"`{slow['name']}` is slow: {slow['items']} pictures and {slow['seeds']} seed" in told


def test_a_cell_spends_what_its_budget_pays_for_and_no_more() -> None:
    for cell in cells_of(PLAN, CHOSEN, []):
        if cell.timed or cell.method == NO_STEP:
            continue
        options, models = cell.way.options, len(cell.way.models)
        method, slots, fluent = open_method(options), slots_of(options), options.fluency > 0
        most, steps = max(cell.budgets), options.steps
        assert spent_by(method, models, slots, steps, fluent) <= most or steps == 1, cell
        if "default" not in cell.method:  # that row has steps of its own
            assert spent_by(method, models, slots, steps + 1, fluent) > most, cell


def test_a_method_that_plans_its_steps_runs_once_for_each_budget() -> None:
    cells = [c for c in cells_of(PLAN, CHOSEN, []) if (c.start, c.form) == ("random", "words")]
    at = {c.budgets for c in cells if (c.block, c.method) == ("cells", "fluentprompt")}
    assert at == {(50,), (200,)} and all(plans_ahead(c.way.options) for c in cells
                                         if c.method == "fluentprompt")  # fmt: skip
    assert {c.budgets for c in cells if (c.block, c.method) == ("cells", "gcg")} == {(50, 200)}


def test_each_budget_takes_the_settings_chosen_for_it() -> None:
    chosen: dict[tuple[str, str, float], tuple[str, ...]] = {
        ("gcg", "random", 50): ("candidates=8",),
        ("gcg", "random", 200): ("candidates=16",),
        ("gcg", "pursuit", 50): ("candidates=64",),
    }
    found: dict[Any, Any] = {}
    for cell in cells_of(PLAN, chosen, ["gcg"]):
        if cell.method == "gcg" and cell.form == "phrases" and not cell.timed:
            for budget in cell.budgets:
                found[cell.block, cell.start, budget] = cell.way.options.set
    assert found["cells", "random", 50] == ("candidates=8",)
    assert found["cells", "random", 200] == found["cells", "random", 1000] == ("candidates=16",)
    assert found["several", "random", 1000] == ("candidates=16",)
    assert found["cells", "words", 50] == ("candidates=64",)  # as at the last start
    assert found["cells", "pursuit", 200] == ()


@pytest.mark.parametrize("name", sorted(ALL))
def test_trials_are_as_many_for_all_and_the_method_reads_them(name: str) -> None:
    (entry,) = (Entry.of(t) for t in PLAN["methods"] if t["name"] == name)
    trials = entry.trials(8, 0)
    assert trials[0] == () and len(set(trials)) == len(trials)
    assert len(trials) == (1 if name == "random" else 8)
    assert not entry.authors or trials[1] == entry.authors
    assert trials == entry.trials(8, 0)
    cells = [cell for (method, _, _), cell in trials_of(PLAN) if method == name]
    settings = {
        (c.start, str(vars(open_method(c.way.options)))) for c in cells if max(c.budgets) == 200
    }
    starts = entry.starts(PLAN["chosen_at"])
    assert len(settings) >= (len(trials) - bool(entry.authors)) * len(starts)  # none twice


def test_the_best_trial_is_chosen_and_the_first_of_equals() -> None:
    one: Trial = ("a", "pursuit", ())
    two: Trial = ("a", "pursuit", ("x=1",))
    three: Trial = ("b", "pursuit", ())
    reached: dict[tuple[Trial, float], float] = {(one, 50): 0.2, (two, 50): 0.2}
    reached |= {(one, 200): 0.3, (two, 200): 0.4, (three, 200): 0.5}
    chosen, order = best_of(reached, ["random", "pursuit"])
    assert chosen == {("a", "pursuit", 50): one, ("a", "pursuit", 200): two,
                      ("b", "pursuit", 200): three}  # fmt: skip
    assert order == ["b", "a"]
    file = tomllib.loads(written(chosen, order, reached, [one, two, three]))
    assert file["order"] == ["b", "a"] and file["chosen"][1]["set"] == ["x=1"]
    assert [c["trials"] for c in file["chosen"]] == [2, 2, 1]


# ---- figures


def test_differences_are_paired_and_corrected_for_their_number() -> None:
    rows = []
    for item in range(12):
        rows.append(row("pursuit", "pursuit", "phrases", item, 0.1 * item))
        for n, more in enumerate((0.05, 0.05, 0.0)):
            noise = (0.01 if item % 2 else -0.01) if n == 2 else 0.0
            rows.append(row(f"m{n}", "pursuit", "phrases", item, 0.1 * item + more + noise))
    table = Table(PLAN, rows)
    base = table.baseline("passes", 50)
    places = [(*base[:1], f"m{n}", *base[2:]) for n in range(3)]
    gaps = table.gaps((p, base) for p in places)
    alone = table.gaps([(places[0], base)])
    assert alone[places[0], base].p == pytest.approx(2 / 2**12)
    assert gaps[places[0], base].p == pytest.approx(3 * 2 / 2**12)  # of three comparisons
    assert gaps[places[0], base].more.low == pytest.approx(0.05) and gaps[places[0], base].sure
    assert not gaps[places[2], base].sure
    text = page.markdown(table)
    assert "**+0.050 [+0.050, +0.050], p 0.001**" in text


def test_an_effect_holds_all_else_the_same() -> None:
    rows = []
    for item in range(6):
        for method, more in (("gcg", 0.0), ("pez", 0.2)):
            rows.append(row(method, "random", "words", item, 0.1 * item + more))
            rows.append(row(method, "pursuit", "words", item, 0.1 * item + more + 0.03))
        rows.append(row("vgd", "pursuit", "words", item, 0.9))  # has no other start
        rows.append(row(NO_STEP, "random", "words", item, 0.0))  # is no method
        rows.append(row(NO_STEP, "pursuit", "words", item, 0.9))
    effect = Table(PLAN, rows).effect("start", "pursuit", "random", "passes", 50)
    assert effect and effect.more.mean == pytest.approx(0.03)
    assert Table(PLAN, rows).effect("form", "phrases", "words", "passes", 50) is None


def test_seeds_that_only_one_has_do_not_count_in_a_difference() -> None:
    rows = [row("pursuit", "pursuit", "phrases", n, 0.5, seed=s) for n in range(4) for s in (0, 1)]
    rows += [row("gcg", "pursuit", "phrases", n, 0.6) for n in range(4)]
    rows += [r | {"judge": 9.0} for r in rows if r["method"] == "pursuit" and r["seed"] == 1]
    table = Table(PLAN, rows)
    base = table.baseline("passes", 50)
    pair = ((base[0], "gcg", *base[2:]), base)
    assert table.gaps([pair])[pair].more.mean == pytest.approx(0.1)


def test_a_cell_that_cannot_be_searched_tells_why() -> None:
    place = dict.fromkeys(PLACE[:5], "x") | {"seed": 0, "error": "no language model is there."}
    rows = [row("pursuit", "pursuit", "phrases", n, 0.5) for n in range(3)]
    text = page.markdown(Table(PLAN, [*rows, place], ["`vgd` begins elsewhere."], chosen=False))
    assert "- `vgd` begins elsewhere." in text and "no language model is there." in text
    assert "Settings were not chosen" in text


def test_frequent_words_are_counted_by_picture() -> None:
    captions = [["a dog, a dog", "dog on grass"], ["grass"], ["Grass and a man."]]
    assert frequent_words(captions, ["dog", "grass", "man", "cat"], 2) == "grass, dog"


# ---- a run


def test_a_batch_is_searched_judged_and_counted(mini: Reader) -> None:
    names = ["photo=mini", "photo-b=mini-b", "photo-judge=mini-judge", "smollm2=mini-lm"]
    plan = renamed(PLAN | {"data": {"kind": "world"}, "passes": [12, 24], "seconds": [0.5]}, names)
    split = {"first": 21, "count": 4, "every": 2}
    world = World(json.dumps([plan["data"], split]), "", ("mini",), "mini-judge", 0)
    cells = [c for c in cells_of(plan, CHOSEN, []) if (c.start, c.form) == ("pursuit", "phrases")]
    named = {c.method: c for c in cells if c.block == "cells" and max(c.budgets) <= 24}

    def rows_of(cell: Cell) -> list[dict[str, Any]]:
        return with_readings(world, [carry_out(Batch(world, cell, 0, ""))])

    pez, alone = rows_of(named["pez"]), rows_of(named[NO_STEP])
    assert [(r["item"], r["budget"]) for r in pez] == [(0, 12), (0, 24), (1, 12), (1, 24)]
    assert all(1 <= r["rank"] <= 4 and -1 <= r["judge"] <= 1 for r in pez)
    assert [r["passes"] for r in pez] == [12, 24, 12, 24]
    assert pez[1]["searched"] >= pez[0]["searched"] >= alone[0]["searched"] - 1e-5
    assert len(alone) == 4 and alone[0]["prompt"] == alone[1]["prompt"]
    assert alone[0]["prompt"].count(",") == 4
    vgd = named["vgd"]
    told = rows_of(replace(vgd, budgets=(vgd.way.options.steps * 200,)))
    assert told and all(r["language"] > 0 for r in told)
    other = replace(world, judge="mini-b")
    assert Batch(other, vgd, 0, "").key == Batch(world, vgd, 0, "").key  # no search again
    again = with_readings(other, [told])
    assert [r["prompt"] for r in again] == [r["prompt"] for r in told]
    assert [r["judge"] for r in again] != [r["judge"] for r in told]
    (timed,) = (c for c in cells if c.timed and c.method == "gcg")
    assert {r["axis"] for r in rows_of(timed)} == {"seconds"}


def test_a_chain_grows_behind_a_caption_that_was_looked_up(
    mini: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(factorial, "BANK", 200)
    plan = renamed(PLAN | {"data": {"kind": "world"}}, ["photo=mini", "photo-judge=mini-judge"])
    split = {"first": 31, "count": 4, "every": 2}
    world = World(json.dumps([plan["data"], split]), "", ("mini",), "mini-judge", 0)
    (cell,) = (c for c in cells_of(plan, CHOSEN, []) if c.caption)
    way = replace(cell.way, options=replace(cell.way.options, steps=3))
    rows = carry_out(Batch(world, replace(cell, way=way, budgets=(3 * 64,)), 0, ""))
    captions = factorial.best_captions(world, ("mini",))
    assert len(rows) == len(captions) == 2 and captions[0] != captions[1]
    for row_, caption in zip(rows, captions, strict=True):
        said, looked_up = (text.replace(",", " ").split() for text in (row_["prompt"], caption))
        kept = min(8, len(looked_up))
        assert said[:kept] == looked_up[:kept] and len(said) >= kept + 2


def test_a_caption_leaves_room_for_words_behind_it(mini: Reader) -> None:
    form = begun("a very large photograph of some {fries} on a green table", mini, 12)
    assert form.count("{1}") == 2 and "{fries}" not in form
    short = begun("a dog", mini, 12)
    assert short == "a dog" + " , {1}" * 5

"""Plans: a plan is carried out as written, and mistakes are named."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pez.errors import PezError
from pez.evaluation.expand import expand
from pez.evaluation.judges import JUDGE
from pez.evaluation.plan import Plan
from pez.evaluation.plan_file import parse_plan
from pez.evaluation.tasks.task import plain_subject
from pez.evaluation.units import Given, Original

SMALL = """
models = ["mini"]
[data]
dataset = "samples"
[[methods]]
name = "pez"
lengths = [4, 8]
steps = 7
options = { lr = 0.5 }
[[generators]]
name = "mini-sd"
pictures = 2
"""
ITEMS = [
    plain_subject(
        Original("samples", "web", f"i{n}", f"{n}" * 64, f"originals/{n}.png", "a cap", prompt, 0)
    )
    for n, prompt in enumerate(("", "a prompt"))
]


def plain(name: str) -> str:
    return name


def test_a_small_plan_expands_into_every_combination() -> None:
    plan = parse_plan('baselines = ["caption", "original", "random-words"]\n' + SMALL)
    nodes = expand(plan, ITEMS, plain)
    ways = [(n.subject.original.item, n.way.label, n.way.length) for n in nodes]
    assert ways == [
        ("i0", "caption", None),
        *[("i0", label, length) for label in ("random-words", "pez") for length in (4, 8)],
        ("i1", "caption", None),
        ("i1", "original", None),  # only that item has one
        *[("i1", label, length) for label in ("random-words", "pez") for length in (4, 8)],
    ]
    assert all([p.image_seed for p in node.pictures] == [0, 1] for node in nodes)
    assert all(list(node.readings) == [("mini-judge", "")] for node in nodes)
    search = next(n.way.options for n in nodes if n.way.label == "pez")
    assert search is not None and (search.steps, search.lr) == (7, 0.5)


@pytest.mark.parametrize(
    ("change", "changes"),
    [
        (('name = "pez"', 'name = "pez"\nlabel = "mine"'), set()),
        (('models = ["mini"]', 'models = ["mini"]\ntitle = "T"'), set()),
        (("pictures = 2", "image_seeds = [0, 1]"), set()),
        (("pictures = 2", "pictures = 2\noptions = { steps = 9 }"), {"picture", "score"}),
        (
            ('models = ["mini"]', 'models = ["mini"]\njudges = ["ViT-B-32/openai"]'),
            {"score", "reading"},
        ),
        (("lr = 0.5", "lr = 0.6"), {"prompt", "picture", "score", "reading"}),
    ],
)
def test_a_changed_plan_renames_only_what_it_changes(
    change: tuple[str, str], changes: set[str]
) -> None:
    assert change[0] in SMALL
    before, after = (
        [unit for node in expand(parse_plan(text), ITEMS, plain) for unit in node.units()]
        for text in (SMALL, SMALL.replace(*change))
    )
    kinds = {unit.kind for unit in before}
    for kind in kinds:
        keys = [{unit.key for unit in units if unit.kind == kind} for units in (before, after)]
        assert (keys[0] != keys[1]) == (kind in changes), kind


def test_a_soft_prompt_is_drawn_but_not_read() -> None:
    text = SMALL.replace('["mini"]', '["mini", ["mini", "mini-b"]]')
    text = 'baselines = ["soft"]\nlanguage_model = "gpt2"\n' + text
    nodes = [n for n in expand(parse_plan(text), ITEMS, plain) if n.way.label == "soft"]
    assert {n.way.model for n in nodes} == {("mini",)}  # of one model, as one generator reads it
    assert all(n.pictures and not n.readings and n.language is None for n in nodes)


def test_new_weights_under_an_old_name_are_a_new_unit() -> None:
    plan = parse_plan(SMALL)
    one, two = (
        expand(plan, ITEMS, lambda name, v=v: f"{name}@{v}" if name == "mini-sd" else name)
        for v in "ab"
    )
    assert [n.unit.key for n in one] == [n.unit.key for n in two]
    assert all(
        a.unit.key != b.unit.key
        for m, n in zip(one, two, strict=True)
        for a, b in zip(m.pictures, n.pictures, strict=True)
    )


def test_all_prompts_of_an_item_are_drawn_from_the_same_noise() -> None:
    nodes = expand(parse_plan(SMALL), ITEMS, plain, [Given(0, "mine", "rival")])
    noise = {
        (n.subject.original.item, p.image_seed, p.unit.spec["noise"])
        for n in nodes
        for p in n.pictures
    }
    assert len(noise) == len(ITEMS) * 2
    assert len({seed for _, _, seed in noise}) == len(noise)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"no \[data\]"),
        ("[data]\ndataset = 'sampels'", "data.dataset: unknown 'sampels'; did you mean samples"),
        (
            "[data]\ndataset = 'samples'\ncuont = 3",
            r"\[data\]: unknown 'cuont'; did you mean count",
        ),
        ("[data]\ndataset = 'samples'\ncount = 0", "data.count must be a whole number, 1 or more"),
        ("[data]\ndataset = 'samples'\ncount = true", "must be a whole number"),
        ("[data]\ndataset = 3", "data.dataset must be a text"),
        (
            "modles = []\n[data]\ndataset = 'samples'",
            "the plan: unknown 'modles'; did you mean models",
        ),
        ("models = [[]]\n[data]\ndataset = 'samples'", "empty list"),
        ("baselines = ['captions']\n[data]\ndataset = 'samples'", "did you mean caption"),
        ("[data]\ndataset = 'samples'\n[[methods]]\nname = 'pez'", "methods but no models"),
        (SMALL + "[[methods]]\nname = 'pezz'", "methods.name: unknown 'pezz'"),
        (SMALL + "[[methods]]\nlengths = [1]", r"\[methods\] has no name"),
        (SMALL + "[[methods]]\nname = 'pez'", "holds 'pez' twice; tell them apart by label"),
        (SMALL.replace("lr =", "rl ="), "options of the method pez: unknown 'rl'"),
        (SMALL.replace("lr = 0.5", "lr = -1"), "--lr must be 0 or more"),
        (SMALL.replace('name = "pez"', 'name = "pursuit"'), "pursuit does not read lr; .*use pez"),
        (SMALL.replace("lengths = [4, 8]", "lengths = [-1]"), "methods.lengths"),
        (SMALL + "options = { stepz = 3 }", "options of the generator mini-sd: unknown 'stepz'"),
        ("judges = ['mini']\n" + SMALL, "mini is searched and would score its own prompts"),
        ("a = [", "is not valid TOML"),
    ],
)
def test_what_is_wrong_is_named(text: str, message: str) -> None:
    with pytest.raises(PezError, match=message):
        parse_plan(text)


@settings(max_examples=60, deadline=None)
@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-2, 9)
        | st.floats(0, 1)
        | st.text("ab", max_size=3),
        lambda inner: (
            st.lists(inner, max_size=2)
            | st.dictionaries(st.sampled_from(["name", "count", "x"]), inner, max_size=2)
        ),
        max_leaves=4,
    ),
    st.sampled_from(
        ["models", "seeds", "judges", "data", "methods", "generators", "baselines", "task"]
    ),
)
def test_no_value_makes_anything_but_a_plan_or_a_clear_error(value: object, name: str) -> None:
    def toml(value: object) -> str:
        if isinstance(value, dict):
            return "{" + ", ".join(f"{k} = {toml(v)}" for k, v in value.items()) + "}"
        if isinstance(value, list):
            return "[" + ", ".join(map(toml, value)) + "]"
        return str(value).lower() if isinstance(value, bool) else repr(value or "")

    data = "" if name == "data" else '[data]\ndataset = "samples"\n'
    try:
        plan = parse_plan(f"{name} = {toml(value)}\n{data}")
    except PezError as error:
        assert str(error).endswith((".", "?"))
    else:
        assert isinstance(plan, Plan)


def test_the_judge_is_the_papers_unless_all_is_shipped() -> None:
    assert parse_plan(SMALL).judges == ("mini-judge",)
    assert parse_plan(SMALL.replace('["mini"]', '["ViT-L-14/openai"]')).judges == (JUDGE,)

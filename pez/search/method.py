"""A method as the search loop sees it: two required functions, and hooks with defaults."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from pez.search.problem import Problem
from pez.search.rows import Rows

State = dict[str, Tensor]  # every tensor has a leading row dimension


@dataclass(frozen=True)
class Method(ABC):
    """A search over ids. Every method derives from this class and has :meth:`start` and
    :meth:`step`; all the other attributes are hooks, declared here with their defaults.

    A method that is a frozen dataclass has its fields as settings: ``--set``, plans and Python
    set them by name. Settings belong to the method alone; an unknown one is rejected by name
    (:func:`pez.methods.make_method`). A setting called ``steps`` receives the steps of the search.
    """

    name: ClassVar[str] = ""  # as in the registry; by default the class's name in lower case

    # if the user sets none
    usual_steps: ClassVar[int] = 500
    usual_start: ClassVar[str] = ""  # of STARTS; "" is pursuit where that is cheap, else random
    usual_style: ClassVar[str] = "words"  # of pez.session.styles.STYLES
    own_start: ClassVar[str] = ""  # where it begins if it takes none of STARTS; "" takes any

    # passes of the text tower that a row costs at each step; properties where settings decide
    forwards: ClassVar[int] = 1  # prompts read: by default the one that is scored
    backwards: ClassVar[int] = 0  # gradients taken
    drafts: ClassVar[int] = 0  # forward passes of the draft

    # what it needs beside the problem's objective, and what it returns beside ids
    reads_language: ClassVar[bool] = False  # it calls ``problem.next_words`` or ``problem.nll``
    draft_model: ClassVar[str] = ""  # what reads ``problem.draft``; "" needs no draft
    finds_embeddings: ClassVar[bool] = False  # :meth:`extra` returns embeddings, not words

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "name" not in vars(cls):
            cls.name = cls.__name__.lower()

    @abstractmethod
    def start(self, problem: Problem, rows: Rows) -> State:
        """Where the rows start."""

    @abstractmethod
    def step(self, problem: Problem, rows: Rows, state: State) -> tuple[Tensor, Tensor, State]:
        """One step: the free ids tried (b, k), their scores (b,) and the next state."""

    def start_forwards(self, problem: Problem) -> int:
        """Forward passes before the first step: by default those of the start's ids. They are
        counted as for a single search; a batch rates shared words once, at the same cost.
        """
        return problem.start_forwards

    def continuations(self, slots: int, steps: int, sentence: bool = False) -> int:
        """Prompts that a row has the language model continue or read (``problem.next_words``,
        ``problem.nll``) in its first ``steps`` steps, where ``slots`` places are searched: one pass
        of that model each. What ``--fluency`` reads is no part of it. ``sentence`` says whether
        ``problem.little`` is set.
        """
        return 0

    def shown(self, score: Tensor, state: State) -> Tensor:
        """The scores (b,) that progress and history show of a step's prompts. By default those
        (b,) by which prompts compete, ``score``; ``state`` is the one that the step returned.
        """
        return score

    def extra(self, state: State) -> State:
        """What is stored of each row's best beside ids: by default nothing. Where
        ``finds_embeddings`` is true, ``embeddings`` (b, k, w) and their ``soft_score`` (b,).
        """
        return {}

"""What a method is to the search loop: two functions it must have, and hooks with defaults."""

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
    set them by name. Settings belong to the method alone; one that it lacks is refused by name
    (:func:`pez.methods.make_method`). A setting called ``steps`` is given the steps of the search.
    """

    name: ClassVar[str] = ""  # as in the registry; by default the class's name in lower case

    # where the user says nothing
    usual_steps: ClassVar[int] = 500
    usual_start: ClassVar[str] = ""  # of STARTS; "" is pursuit where that is cheap, else random
    usual_style: ClassVar[str] = "words"  # of pez.session.styles.STYLES

    # passes of the text tower that a row costs at each step; properties where settings decide
    forwards: ClassVar[int] = 1  # prompts read: by default the one that is scored
    backwards: ClassVar[int] = 0  # gradients taken
    drafts: ClassVar[int] = 0  # forward passes of the draft

    # what it needs beside the problem's objective, and what it gives beside ids
    reads_language: ClassVar[bool] = False  # it calls ``problem.next_words`` or ``problem.nll``
    draft_model: ClassVar[str] = ""  # what reads ``problem.draft``; "" needs no draft
    finds_embeddings: ClassVar[bool] = False  # :meth:`extra` tells embeddings, which are no words

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "name" not in vars(cls):
            cls.name = cls.__name__.lower()

    @abstractmethod
    def start(self, problem: Problem, rows: Rows) -> State:
        """Where the rows begin."""

    @abstractmethod
    def step(self, problem: Problem, rows: Rows, state: State) -> tuple[Tensor, Tensor, State]:
        """One step: the free ids tried (b, k), their scores (b,) and the next state."""

    def start_forwards(self, problem: Problem) -> int:
        """Forward passes before the first step: by default those of the start's ids. They are those
        of a search by itself; what is rated once for all rows costs a batch no more than that.
        """
        return problem.start_forwards

    def extra(self, state: State) -> State:
        """What is kept of each row's best beside ids: by default nothing. Where
        ``finds_embeddings`` is true, ``embeddings`` (b, k, w) and their ``soft_score`` (b,).
        """
        return {}

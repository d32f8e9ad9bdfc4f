"""Inputs, outputs and nodes. Only what is declared is kept; nothing is drawn or run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


class Input:
    kind = ""

    def __init__(
        self,
        id: str,
        *,
        default: Any = None,
        optional: bool = False,
        tooltip: str | None = None,
        options: Sequence[str] | None = None,
        min: float | None = None,
        max: float | None = None,
        step: float | None = None,
        round: float | None = None,
        multiline: bool = False,
        control_after_generate: Any = None,
    ) -> None:
        self.id, self.default, self.optional, self.tooltip = id, default, optional, tooltip
        self.options, self.min, self.max, self.step, self.round = options, min, max, step, round
        self.multiline, self.control_after_generate = multiline, control_after_generate

    def get_io_type(self) -> str:
        return self.kind


class Output:
    kind = ""

    def __init__(
        self,
        id: str | None = None,
        *,
        display_name: str | None = None,
        is_output_list: bool = False,
    ) -> None:
        self.id, self.display_name, self.is_output_list = id, display_name, is_output_list

    def get_io_type(self) -> str:
        return self.kind


class Type:
    """A kind of value with its classes for inputs and outputs."""

    def __init__(self, kind: str) -> None:
        self.Input: type[Input] = type("Input", (Input,), {"kind": kind})
        self.Output: type[Output] = type("Output", (Output,), {"kind": kind})


def Custom(io_type: str) -> Type:
    return Type(io_type)


Boolean, Int, Float, String = Type("BOOLEAN"), Type("INT"), Type("FLOAT"), Type("STRING")
Combo, Image, Mask = Type("COMBO"), Type("IMAGE"), Type("MASK")


class Hidden:
    unique_id = "UNIQUE_ID"


@dataclass
class Schema:
    node_id: str
    display_name: str | None = None
    category: str = "sd"
    inputs: list[Input] = field(default_factory=list)
    outputs: list[Output] = field(default_factory=list)
    hidden: list[Any] = field(default_factory=list)
    description: str = ""


class NodeOutput:
    def __init__(self, *args: Any, ui: Any = None) -> None:
        self.args, self.ui = args, ui

    @property
    def result(self) -> Any:
        return self.args or None


class ComfyNode:
    hidden: Any = None  # set while a server runs the node

    @classmethod
    def define_schema(cls) -> Schema:
        raise NotImplementedError

    @classmethod
    def execute(cls, **inputs: Any) -> NodeOutput:
        raise NotImplementedError

    @classmethod
    def fingerprint_inputs(cls, **inputs: Any) -> Any:
        raise NotImplementedError

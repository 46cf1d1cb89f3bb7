"""Reading, checking and evaluating a formula of the table.

A formula is a Python expression of a small language: numbers, fields, ``+ - * / **``, ``<``,
``==``, ``or``, ``a if c else b`` and calls of the operators. Python's own parser reads it; anything
else in it is refused when it is read. What a formula needs (fields, classifications, bars of the
past) follows from its text.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, cast

import numpy as np

from hf_plugins.alphas import operators as ops
from hf_plugins.alphas.operators import FloatArray
from hf_plugins.alphas.panel import FIELDS, GROUPS, Panel
from hf_plugins.alphas.sections import Section
from hf_plugins.errors import ConfigurationError, unknown

# Each takes its arrays and then the number of bars, which is floored, as the paper says.
WINDOWS: Final[Mapping[str, tuple[int, Callable[..., Any]]]] = {
    "sum": (1, ops.total),
    "product": (1, ops.product),
    "stddev": (1, ops.stddev),
    "ts_max": (1, ops.ts_max),
    "ts_min": (1, ops.ts_min),
    "ts_argmax": (1, ops.ts_argmax),
    "ts_argmin": (1, ops.ts_argmin),
    "ts_rank": (1, ops.ts_rank),
    "decay_linear": (1, ops.decay_linear),
    "delay": (1, ops.delay),
    "delta": (1, ops.delta),
    "correlation": (2, ops.correlation),
    "covariance": (2, ops.covariance),
}
SHIFTS: Final = frozenset({"delay", "delta"})
"""Operators that read the value of d bars ago, hence d + 1 bars."""
VALUES: Final[Mapping[str, tuple[int, Callable[..., Any]]]] = {
    "abs": (1, np.abs),
    "sign": (1, np.sign),
    "log": (1, ops.log),
    "signedpower": (2, ops.signedpower),
    "min": (2, np.minimum),
    "max": (2, np.maximum),
}
SECTIONS: Final[Mapping[str, int]] = {"rank": 1, "scale": 1, "indneutralize": 2}
ARITHMETIC: Final[Mapping[type[ast.operator], Callable[..., FloatArray]]] = {
    ast.Add: ops.add,
    ast.Sub: ops.subtract,
    ast.Mult: np.multiply,
    ast.Div: ops.divide,
    ast.Pow: ops.power,
}
COMPARISONS: Final[Mapping[type[ast.cmpop], Callable[..., FloatArray]]] = {
    ast.Lt: ops.less,
    ast.Eq: ops.equal,
}


@dataclass(frozen=True)
class Expression:
    """A checked formula.

    Raises:
        ConfigurationError: the text is not a formula of the language; names the offending part.
    """

    text: str

    def __post_init__(self) -> None:
        _check(self._tree)

    @cached_property
    def _tree(self) -> ast.expr:
        try:
            return ast.parse(self.text, mode="eval").body
        except SyntaxError as error:
            raise ConfigurationError(f"'{self.text}' is not a formula: {error.msg}") from None

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """Fields that the formula reads, in the order of the panel's list."""
        names: set[str] = set()
        for name in _names(self._tree):
            if name == "returns":
                names.add("close")
            elif name.startswith("adv"):
                names.update(("vwap", "volume"))
            else:
                names.add(name)
        return tuple(name for name in FIELDS if name in names)

    @cached_property
    def groups(self) -> tuple[str, ...]:
        """Classifications that the formula neutralises by."""
        names = set(_names(self._tree))
        return tuple(name for name in GROUPS if name in names)

    def lookback(self, section: Section) -> int:
        """Bars that one value needs, the current one included."""
        return _lookback(self._tree, section)

    def evaluate(self, panel: Panel, section: Section) -> FloatArray:
        """Values of shape (n_bars, n_instruments); null where not defined.

        Raises:
            DataError: the panel lacks a field or a classification.
        """
        with np.errstate(all="ignore"):
            value = _evaluate(self._tree, panel, section)
        shape = (len(panel.index), len(panel.instruments))
        return ops.finite(np.broadcast_to(value, shape))


def _call(node: ast.Call) -> tuple[str, list[ast.expr]]:
    return cast(ast.Name, node.func).id, node.args


def _window(node: ast.expr) -> int:
    return int(cast(Any, node).value)


def _identity(node: ast.Call) -> ast.Call | None:
    """The inner call, if the outer one changes nothing: a rank of a rank, equal neutralisations."""
    inner = node.args[0]
    if not isinstance(inner, ast.Call) or _call(inner)[0] != _call(node)[0]:
        return None
    name, arguments = _call(node)
    if name == "rank":
        return inner
    if name == "indneutralize" and ast.dump(arguments[1]) == ast.dump(inner.args[1]):
        return inner
    return None


def _check(node: ast.expr) -> None:
    match node:
        case ast.Constant(value=value) if type(value) in (int, float):
            return
        case ast.Name(id=name):
            if name in (*FIELDS, "returns") or (name[:3] == "adv" and name[3:].isdigit()):
                return
            raise ConfigurationError(unknown("field", name, (*FIELDS, "returns", "adv20")))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            _check(operand)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in ARITHMETIC:
            _check(left)
            _check(right)
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in COMPARISONS:
            _check(left)
            _check(right)
        case ast.BoolOp(op=ast.Or(), values=values):
            for value in values:
                _check(value)
        case ast.IfExp(test=test, body=body, orelse=orelse):
            for part in (test, body, orelse):
                _check(part)
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
            _check_call(name, arguments)
        case _:
            raise ConfigurationError(f"'{ast.unparse(node)}' is not part of a formula")


def _check_call(name: str, arguments: list[ast.expr]) -> None:
    arrays = {
        **{known: count for known, (count, _) in WINDOWS.items()},
        **{known: count for known, (count, _) in VALUES.items()},
        **dict.fromkeys(SECTIONS, 1),
    }
    if name not in arrays:
        raise ConfigurationError(unknown("operator", name, arrays))
    extra = name in WINDOWS or name == "indneutralize"
    if len(arguments) != arrays[name] + extra:
        raise ConfigurationError(
            f"'{name}' takes {arrays[name] + extra} arguments; {len(arguments)} are given"
        )
    for argument in arguments[: arrays[name]]:
        _check(argument)
    last = arguments[-1]
    if name == "indneutralize":
        if not isinstance(last, ast.Name) or last.id not in GROUPS:
            raise ConfigurationError(unknown("classification", ast.unparse(last), GROUPS))
    elif name in WINDOWS and not (
        isinstance(last, ast.Constant) and isinstance(last.value, int | float) and last.value >= 1
    ):
        raise ConfigurationError(
            f"the window of '{name}' is {ast.unparse(last)}; allowed: a number of at least 1"
        )


def _names(node: ast.expr) -> Iterator[str]:
    operators = {id(call.func) for call in ast.walk(node) if isinstance(call, ast.Call)}
    for part in ast.walk(node):
        if isinstance(part, ast.Name) and id(part) not in operators:
            yield part.id


def _lookback(node: ast.expr, section: Section) -> int:
    match node:
        case ast.Constant():
            return 1
        case ast.Name(id="returns"):
            return 2
        case ast.Name(id=name):
            return int(name[3:]) if name.startswith("adv") else 1
        case ast.Call():
            name, arguments = _call(node)
            if name in WINDOWS:
                inner = max(_lookback(argument, section) for argument in arguments[:-1])
                return inner + _window(arguments[-1]) - (name not in SHIFTS)
            if name in SECTIONS:
                inner = _lookback(arguments[0], section)
                return inner if _identity(node) else inner + section.lookback - 1
            return max(_lookback(argument, section) for argument in arguments)
        case _:
            parts = [part for part in ast.iter_child_nodes(node) if isinstance(part, ast.expr)]
            return max(_lookback(part, section) for part in parts)


def _evaluate(node: ast.expr, panel: Panel, section: Section) -> FloatArray:
    def value(part: ast.expr) -> FloatArray:
        return _evaluate(part, panel, section)

    match node:
        case ast.Constant(value=number):
            return np.asarray(number, dtype=np.float64)
        case ast.Name(id=name):
            return panel.value(name)
        case ast.UnaryOp(operand=operand):
            return -value(operand)
        case ast.BinOp(left=left, op=op, right=right):
            return ARITHMETIC[type(op)](value(left), value(right))
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            return COMPARISONS[type(op)](value(left), value(right))
        case ast.BoolOp(values=[first, *others]):
            result = value(first)
            for other in others:
                result = ops.either(result, value(other))
            return result
        case ast.IfExp(test=test, body=body, orelse=orelse):
            return ops.choose(value(test), value(body), value(orelse))
        case ast.Call():
            return _evaluate_call(node, panel, section)
        case _:
            raise AssertionError(f"{ast.dump(node)} passed the check")


def _evaluate_call(node: ast.Call, panel: Panel, section: Section) -> FloatArray:
    name, arguments = _call(node)
    if (inner := _identity(node)) is not None:
        return _evaluate(inner, panel, section)
    if name in WINDOWS:
        arrays = [_evaluate(argument, panel, section) for argument in arguments[:-1]]
        operator = cast(Any, WINDOWS[name][1])
        return ops.finite(operator(*arrays, _window(arguments[-1])))
    if name in VALUES:
        return VALUES[name][1](*(_evaluate(argument, panel, section) for argument in arguments))
    x = _evaluate(arguments[0], panel, section)
    if name == "rank":
        return section.rank(x)
    if name == "scale":
        return section.scale(x, 1.0)
    label = cast(ast.Name, arguments[1]).id
    return section.neutralize(x, panel.group(label) if section.has_groups else None)

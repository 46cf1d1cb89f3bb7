"""Parameters: a mistake is told with the plugin, the field, what is allowed and the nearest."""

from __future__ import annotations

from typing import Annotated, Literal

import pytest
from pydantic import Field

from hf_plugins.base import EngineParams, Params
from hf_plugins.errors import ConfigurationError
from hf_plugins.params import describe_field, parse_params
from hf_plugins.registry import engines, features


class Example(Params):
    """Parameters of every kind."""

    length: Annotated[int, Field(ge=2, le=100, description="Bars.")] = 14
    weight: Annotated[float, Field(gt=0, lt=1)] = 0.5
    method: Literal["wilder", "simple"] = "wilder"
    levels: tuple[float, ...] = (0.1, 0.9)
    column: str


def message(**values) -> str:
    with pytest.raises(ConfigurationError) as caught:
        parse_params("vendor.example", Example, values)
    return str(caught.value)


def test_defaults_and_lists_for_tuples():
    parsed = parse_params("vendor.example", Example, {"column": "close", "levels": [0.2]})
    assert (parsed.length, parsed.levels) == (14, (0.2,))


def test_an_unknown_parameter_names_the_nearest():
    text = message(column="close", lenght=3)
    assert text == (
        "vendor.example: unknown parameter 'lenght'; allowed: column, length, levels, method, "
        "weight. Did you mean 'length'?"
    )


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"length": 1}, ["'length' is 1", "greater than or equal to 2", ">= 2 and <= 100", "14"]),
        ({"length": 101}, ["'length' is 101", "less than or equal to 100"]),
        ({"length": "14"}, ["'length' is '14'", "valid integer", "allowed: int"]),
        ({"length": 14.5}, ["'length' is 14.5", "valid integer"]),
        ({"length": True}, ["'length' is True", "valid integer"]),
        ({"length": None}, ["'length' is None", "valid integer"]),
        ({"weight": 1.0}, ["'weight' is 1.0", "> 0 and < 1"]),
        ({"method": "wilde"}, ["'method' is 'wilde'", "Did you mean 'wilder'?"]),
        ({"levels": [0.1, "x"]}, ["'levels.1' is 'x'", "valid number"]),
    ],
)
def test_a_wrong_value_says_what_is_allowed(values, says):
    text = message(column="close", **values)
    assert text.startswith("vendor.example: ")
    for part in says:
        assert part in text, text


def test_every_mistake_is_told_at_once():
    text = message(length=1, wieght=0.5)
    assert "'length' is 1" in text
    assert "unknown parameter 'wieght'" in text
    assert "parameter 'column' is required" in text


def test_values_that_are_not_yaml():
    assert "must be plain YAML values" in message(column=object())


def test_the_rows_of_a_parameter_table():
    row = describe_field("length", Example.model_fields["length"])
    assert row == {
        "name": "length",
        "type": "int",
        "range": ">= 2 and <= 100",
        "default": "14",
        "description": "Bars.",
    }
    assert describe_field("column", Example.model_fields["column"])["default"] == "required"


def test_integers_are_taken_where_a_number_is_wanted():
    # YAML writes 100000 for an amount.
    assert parse_params("core", EngineParams, {"capital": 100_000}).capital == 100_000.0
    assert engines.create("core", capital=5).parameters()["capital"] == 5.0


@pytest.mark.parametrize("length", [1, 0, -3, 2.5, "14", None])
def test_the_length_of_rsi(length):
    with pytest.raises(ConfigurationError, match=r"^technical.rsi: parameter 'length' is "):
        features.create("technical.rsi", length=length)

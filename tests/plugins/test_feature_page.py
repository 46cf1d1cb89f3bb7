"""The page about the feature plugins is what the code declares, and docstrings become Markdown."""

from __future__ import annotations

import re

import pytest
from click.testing import CliRunner

from hf_assets.cli.plugins import plugins
from hf_assets.plugin_pages import features_page, parameter_table
from hf_assets.prose import markdown
from hf_plugins import registry
from hf_plugins.features.technical.catalogue_table import INDICATORS
from tests.conftest import ROOT

PAGE = ROOT / "docs" / "features.md"
BUILT_IN = [
    key
    for key in registry.features.keys()  # noqa: SIM118  (a registry is no mapping)
    if registry.features.get(key).__module__.startswith("hf_plugins.")
]

PROMISED = {
    *(f"technical.{name}" for name in ("rsi", "atr", "macd", "bbands", "ema_cross", "ta")),
    *(f"statistical.{name}" for name in ("momentum", "mean_reversion", "z_score", "tsfresh")),
    *("statistical.hurst_exponent", "statistical.volatility_regime", "automated.tsfresh"),
    *("news.finbert_sentiment", "news.sentiment", "news.sentiment_momentum"),
    *("news.sentiment_divergence", "fundamental.ratios", "macro.indicators"),
}
"""Keys that documents of users name: none of them may ever be called otherwise."""


@pytest.fixture(scope="module")
def page() -> str:
    return PAGE.read_text(encoding="utf-8")


def documented(text: str) -> str:
    class Documented:
        __doc__ = text

    return markdown(Documented)


# ------------------------------------------------------------------------------------ the page


def test_the_page_is_what_the_code_declares(page: str) -> None:
    assert page == features_page(BUILT_IN), "hf plugins docs > docs/features.md"


def test_the_command_prints_the_page_of_some_plugins() -> None:
    result = CliRunner().invoke(plugins, ["docs", "technical.rsi", "technical.atr"])
    assert result.exit_code == 0, result.output
    assert result.output == features_page(["technical.atr", "technical.rsi"])
    headings = re.findall(r"^### (.*)$", result.output, re.MULTILINE)
    assert headings == ["technical.atr", "technical.rsi"]


def test_every_plugin_has_its_place_and_each_link_leads_somewhere(page: str) -> None:
    headings = re.findall(r"^#+ (.*)$", page, re.MULTILINE)
    anchors = {heading.replace(".", "").lower() for heading in headings}
    anchors |= set(re.findall(r'<a id="(\w+)">', page))
    for key in PROMISED | set(BUILT_IN):
        assert key.replace(".", "") in anchors, key
    linked = set(re.findall(r"\(#(\w+)\)", page))
    assert linked <= anchors
    assert len(linked) > 30


def test_every_parameter_is_told_with_its_type_and_default(page: str) -> None:
    sections = dict(re.findall(r"^### (\S+)$(.*?)(?=^##|\Z)", page, re.MULTILINE | re.DOTALL))
    assert (
        "| `length` | `14` | int >= 2 and <= 10000 | Bars of the smoothing. |"
        in (sections["technical.rsi"])
    )
    assert "* **Memory**: finite, 20 bars" in sections["technical.bbands"]
    for key, text in sections.items():
        for name in registry.features.get(key).Params.model_fields:
            assert f"\n| `{name}` | " in text, (key, name)


def test_each_indicator_of_the_wide_catalogue_is_told(page: str) -> None:
    for name in INDICATORS:
        assert page.count(f"\n| `{name}` | ") >= 1, name
    assert (
        "| `aroon` | `length=14` | `ta_aroond_14`, `ta_aroonu_14`, `ta_aroonosc_14` | high, low | "
        "finite, 15 bars |"
    ) in page


def test_values_stand_beside_defaults() -> None:
    plugin = registry.features.create("technical.rsi", length=9)
    row = parameter_table(type(plugin.params), plugin.parameters()).splitlines()[-1]
    assert row == "| `length` | `9` | `14` | int >= 2 and <= 10000 | Bars of the smoothing. |"


# ------------------------------------------------------------------------------------ docstrings


def test_formulas_literals_and_roles() -> None:
    assert documented(
        r"""Title.

        .. math:: a = b_t,
           \quad c = 1

        with :math:`b` the ``value`` of :class:`~module.Name` [1]_, and ``two
        words`` or ``one_
        name``:

        .. math::
            x = 1 \\
            y = 2
        Then

            literal | block

        .. [1] A. Author, 1999.
        """
    ) == (
        "Title.\n\n```\na = b_t,\n\\quad c = 1\n```\n\n"
        "with `b` the `value` of `module.Name` [1], and `two words` or `one_name`:\n\n"
        "```\nx = 1 \\\\\ny = 2\n```\n\nThen\n\n```\nliteral | block\n```\n\n"
        "[1] A. Author, 1999."
    )


def test_a_table_with_cells_over_two_lines() -> None:
    assert documented(
        r"""Title.

        ======= ============ =====
        Column  Value        Unit
        ======= ============ =====
        ``one`` \|a - b|     price
        ``two`` it goes      1 or
                on here      more
        ======= ============ =====

        After it.
        """
    ) == (
        "Title.\n\n| Column | Value | Unit |\n| --- | --- | --- |\n"
        "| `one` | \\|a - b\\| | price |\n| `two` | it goes on here | 1 or more |\n\nAfter it."
    )


def test_a_table_without_a_head_ends_where_it_ends() -> None:
    assert documented(
        """Title.

        === ===
        one two
        === ===

        After it.
        """
    ) == ("Title.\n\n|  |  |\n| --- | --- |\n| one | two |\n\nAfter it.")


def test_no_markup_is_left_in_what_plugins_say() -> None:
    left = re.compile(r"^\.\. |:[a-z]+:`|={4}|(?<!`)``(?!`)|\]_|\[\d\]_", re.MULTILINE)
    for plugins_of in registry.ALL:
        for key in plugins_of.keys():  # noqa: SIM118
            text = markdown(plugins_of.get(key))
            assert not left.search(text), (key, left.search(text))
            assert text.count("```") % 2 == 0

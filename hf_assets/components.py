"""The Dagster component types behind ``type: hf_assets.Feature`` and its siblings.

A component reads one YAML document into an item and declares the assets that the item stands for as
bare specs, so that ``dg``, post-processing and code references work as for any component. What
makes those specs executable is :mod:`hf_assets.build`, which sees all items at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import dagster as dg
from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler

from hf_assets.items import (
    DEFAULT_SOURCE,
    FeatureItem,
    FeatureQualityItem,
    Item,
    MarketDataItem,
    ModelItem,
    ScoresItem,
    SideDataItem,
    SignalItem,
    StrategyItem,
)
from hf_plugins.params import parse_params


@dataclass(frozen=True)
class Origin:
    """Where a document stands, for error messages."""

    file: str
    lines: Mapping[str, int]
    kind: str

    def at(self, field: str | None = None) -> str:
        """``file:line``, of a field where it is known, else of the document."""
        line = self.lines.get(field or "", self.lines.get("", 0))
        return f"{self.file}:{line}" if line else self.file


class ItemComponent(dg.Component):
    """Base of the component types: parse one document, declare its assets."""

    item_type: ClassVar[type[Item]] = Item

    def __init__(self, item: Item, origin: Origin) -> None:
        self.item = item
        self.origin = origin

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """Accept any attributes here; :meth:`load` checks them with a readable error.

        The JSON schema is the strict one all the same, so that ``dg check yaml`` and editors know
        the fields.
        """
        item_type = cls.item_type

        class Attributes(BaseModel):
            model_config = ConfigDict(extra="allow")

            @classmethod
            def __get_pydantic_json_schema__(
                cls, core_schema: Any, handler: GetJsonSchemaHandler
            ) -> dict[str, Any]:
                return item_type.model_json_schema()

        return Attributes

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> ItemComponent:
        """Parse the document.

        Raises:
            ConfigurationError: names file, line, item, field, allowed values and nearest match.
        """
        values = attributes.model_dump() if attributes else {}
        origin = _origin(cls.__name__, context)
        name = values.get("name", cls.item_type.model_fields["name"].default)
        owner = (
            f"{origin.at()}: {cls.__name__} {name!r}" if name else f"{origin.at()}: {cls.__name__}"
        )
        resolved = context.resolution_context.resolve_value(values, as_type=dict)
        return cls(parse_params(owner, cls.item_type, resolved, noun="attribute"), origin)

    def asset_keys(self) -> list[dg.AssetKey]:
        """Keys of the assets that the document stands for."""
        raise NotImplementedError

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Declare the assets; they are made executable once all documents are known."""
        return dg.Definitions(assets=[dg.AssetSpec(key) for key in self.asset_keys()])


class MarketData(ItemComponent):
    """Market data: raw bars from a source, the rows of it that were put aside, and enriched bars.

    One document is the default. Others have a name, and instruments in the universe file name them
    as their ``source``.
    """

    item_type = MarketDataItem
    item: MarketDataItem

    def asset_keys(self) -> list[dg.AssetKey]:
        """Raw, quarantined and enriched bars; a further source feeds the same assets."""
        if self.item.name != DEFAULT_SOURCE:
            return []
        return [dg.AssetKey(["market_data", name]) for name in ("bars", "quarantine", "enriched")]


class SideData(ItemComponent):
    """A side table: news, filings or releases, each row with the time from which it was known."""

    item_type = SideDataItem
    item: SideDataItem

    def asset_keys(self) -> list[dg.AssetKey]:
        """The table."""
        return [dg.AssetKey(["side_data", self.item.name])]


class Scores(ItemComponent):
    """What a scorer says of the texts of a side table; no text is ever scored twice."""

    item_type = ScoresItem
    item: ScoresItem

    def asset_keys(self) -> list[dg.AssetKey]:
        """The table of scores."""
        return [dg.AssetKey(["side_data", self.item.name])]


class Feature(ItemComponent):
    """A feature: a plugin with parameters, computed for every symbol and timeframe."""

    item_type = FeatureItem
    item: FeatureItem

    def asset_keys(self) -> list[dg.AssetKey]:
        """The feature dataset."""
        return [dg.AssetKey(["features", self.item.name])]


class Model(ItemComponent):
    """A model: walk-forward out-of-sample predictions, and the artefact fitted on everything."""

    item_type = ModelItem
    item: ModelItem

    def asset_keys(self) -> list[dg.AssetKey]:
        """Artefact and predictions."""
        return [
            dg.AssetKey(["models", self.item.name]),
            dg.AssetKey(["predictions", self.item.name]),
        ]


class FeatureQuality(ItemComponent):
    """Quality control of features: a report per symbol and timeframe, with checks."""

    item_type = FeatureQualityItem
    item: FeatureQualityItem

    def asset_keys(self) -> list[dg.AssetKey]:
        """The report."""
        return [dg.AssetKey(["quality", self.item.name])]


class Signal(ItemComponent):
    """A signal: target positions from out-of-sample predictions."""

    item_type = SignalItem
    item: SignalItem

    def asset_keys(self) -> list[dg.AssetKey]:
        """The target positions."""
        return [dg.AssetKey(["signals", self.item.name])]


class Strategy(ItemComponent):
    """A strategy: a signal backtested over a universe, symbol by symbol, with costs."""

    item_type = StrategyItem
    item: StrategyItem

    def asset_keys(self) -> list[dg.AssetKey]:
        """The backtests, and the table that compares them."""
        return [
            dg.AssetKey(["backtests", self.item.name]),
            dg.AssetKey(["reports", self.item.name]),
        ]


def _origin(kind: str, context: dg.ComponentLoadContext) -> Origin:
    tree = context.resolution_context.source_position_tree
    if tree is None:
        return Origin(str(context.path.name), {}, kind)
    file = Path(tree.position.filename)
    shown = (
        file.relative_to(context.project_root)
        if file.is_relative_to(context.project_root)
        else file
    )
    lines = {"": tree.position.start.line}
    attributes = tree.children.get("attributes")
    if attributes is not None:
        lines |= {str(key): child.position.start.line for key, child in attributes.children.items()}
    return Origin(str(shown), lines, kind)

"""A scorer that asks a transformer that was trained to classify the tone of financial text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, cast

import numpy as np
import pandas as pd
from pydantic import Field, ValidationInfo, field_validator

from hf_plugins.base import BaseScorer, Material, Params
from hf_plugins.errors import ConfigurationError, DataError, listing
from hf_plugins.registry import scorers
from hf_plugins.scorers.shares import SHARES, sentiment_of

if TYPE_CHECKING:
    import torch

DEFAULT_MODEL: Final = "ProsusAI/finbert"
DEFAULT_REVISION: Final = "4556d13015211d73dccd3fdd39d39232506f3e43"

_PATH: Final = re.compile(r"^(\.{0,2}/|~)")
_HUB_NAME: Final = re.compile(r"^[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?$")
_COMMIT: Final = re.compile(r"^[0-9a-f]{40}$")
_WEIGHTS: Final = "*.safetensors"


class FinbertParams(Params):
    """Parameters of FinBERT."""

    model: Annotated[
        str,
        Field(
            min_length=1,
            description="Name of a model on the Hugging Face hub, or a local folder, written as a "
            "path: ./finbert, ~/finbert, /models/finbert.",
        ),
    ] = DEFAULT_MODEL
    revision: Annotated[
        str | None,
        Field(
            validate_default=True,
            description="Full commit of the hub's repository: required, but for the default model; "
            "a local folder has none.",
        ),
    ] = None
    max_tokens: Annotated[
        int,
        Field(ge=8, le=8192, description="Tokens of a text that are read, marks included."),
    ] = 512

    @field_validator("revision")
    @classmethod
    def _pins_the_weights(cls, value: str | None, info: ValidationInfo) -> str | None:
        model = info.data.get("model")
        if model is None:
            return value
        if _PATH.match(model):
            if value:
                raise ValueError(f"the local folder {model} has no revision; its content counts")
            return None
        if not _HUB_NAME.match(model):
            raise ValueError(
                f"model {model!r} is neither a name on the hub (owner/name) nor a path (./folder)"
            )
        if value is None and model == DEFAULT_MODEL:
            return DEFAULT_REVISION
        if value is None or not _COMMIT.match(value):
            raise ValueError(
                f"the hub's {model} needs the full commit, 40 hex digits, so that the same name "
                f"never means other weights; for a local folder write ./{model}"
            )
        return value


@scorers.register("text.finbert")
class Finbert(BaseScorer):
    """FinBERT, or another classifier of three tones in the format of the transformers library.

    The shares are the softmax of the model's three outputs, in float64; which output is which tone
    is read from ``id2label`` of the model's configuration (positive, negative and neutral, in
    whatever order and case). The model runs in float32 on the CPU, in one thread, one text at a
    time and without padding: the last bits of a text depend neither on the others nor on the
    number of processors. A text of more than
    ``max_tokens`` tokens is cut at its end.

    Weights are read from safetensors alone, for a pickle can run code.

    Source: Araci (2019), "FinBERT: Financial Sentiment Analysis with Pre-trained Language Models",
    arXiv 1908.10063; the uncertainty is the entropy of the shares, see
    :mod:`hf_plugins.scorers.shares`.
    """

    Params: ClassVar[type[Params]] = FinbertParams
    libraries: ClassVar[tuple[str, ...]] = (
        "numpy", "pandas", "tokenizers", "torch", "transformers",
    )  # fmt: skip

    def __init__(self, **params: object) -> None:
        super().__init__(**params)
        self._tokenizer: Any = None
        self._model: Any = None
        self._order: list[int] = []

    @property
    def _typed(self) -> FinbertParams:
        return cast(FinbertParams, self.params)

    @property
    def material(self) -> Material:
        """The model."""
        return Material(self._typed.model, self._typed.revision or "")

    def load(self, path: Path) -> None:
        """Read configuration, tokenizer and weights from the model's folder.

        Raises:
            ConfigurationError: the libraries are not installed.
            DataError: a file is missing or cannot be read, the weights are not safetensors or lack
                some, the labels are other ones, or the model reads fewer tokens than are asked for.
        """
        try:
            import safetensors
            import torch

            # By name: a type checker takes a fifth of its time to read this library's index.
            transformers = import_module("transformers")
        except ImportError as error:
            raise ConfigurationError(
                f"{self.key} needs the libraries torch and transformers, and '{error.name}' is not "
                "installed: install the extras 'deep' and 'news'"
            ) from None
        if not path.is_dir():
            raise DataError(f"{self.key} needs the folder of a model, which is not at {path}")
        for name in ("config.json", "tokenizer_config.json"):
            if not (path / name).is_file():
                raise DataError(f"the model at {path} has no {name}")
        if not any(path.glob(_WEIGHTS)):
            others = listing(each.name for each in path.iterdir() if each.suffix in (".bin", ".pt"))
            raise DataError(
                f"the model at {path} has no weights as safetensors, which alone are read because "
                f"a pickle can run code (pickled weights: {others}); convert it once with the "
                "save_pretrained of transformers, on a machine that may run what it holds"
            )
        known: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        try:
            config = transformers.AutoConfig.from_pretrained(path, **known)
            order = self._order_of(config, path)
            tokenizer = transformers.AutoTokenizer.from_pretrained(path, **known)
            model, report = transformers.AutoModelForSequenceClassification.from_pretrained(
                path,
                config=config,
                use_safetensors=True,
                dtype=torch.float32,
                attn_implementation="eager",
                output_loading_info=True,
                **known,
            )
        except (
            OSError, ValueError, KeyError, TypeError, RuntimeError, safetensors.SafetensorError,
        ) as error:  # fmt: skip
            if isinstance(error, DataError):
                raise
            raise DataError(f"the model at {path} cannot be read: {error}") from error
        # Weights that are not there are drawn at random by the library, with a warning at most.
        if missing := report["missing_keys"]:
            raise DataError(f"the weights at {path} lack {listing(missing)}")
        if len(tokenizer) > config.vocab_size:
            raise DataError(
                f"the tokenizer at {path} knows {len(tokenizer)} tokens, its model only "
                f"{config.vocab_size}"
            )
        self._tokenizer, self._model, self._order = tokenizer, model.eval(), order

    def score(self, texts: Sequence[str]) -> pd.DataFrame:
        """Classify texts; see the class.

        Raises:
            RuntimeError: the model is not loaded.
        """
        if self._model is None:
            raise RuntimeError(f"the model {self._typed.model} is not loaded")
        import torch

        # The last bits of a sum depend on the number of threads that share it.
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            with torch.inference_mode():
                return sentiment_of([self._shares(text) for text in texts])
        finally:
            torch.set_num_threads(threads)

    def _shares(self, text: str) -> tuple[float, ...]:
        tokens: Any = self._tokenizer(
            text, truncation=True, max_length=self._typed.max_tokens, return_tensors="pt"
        )
        outputs: torch.Tensor = self._model(**tokens).logits[0]
        logits = outputs.double().numpy()
        grown = np.exp(logits - logits.max())
        return tuple(float(share) for share in (grown / grown.sum())[self._order])

    def _order_of(self, config: Any, path: Path) -> list[int]:
        """Which output is positive, which negative, which neutral."""
        labels = {str(label).lower(): int(place) for place, label in config.id2label.items()}
        if sorted(labels) != sorted(SHARES) or sorted(labels.values()) != [0, 1, 2]:
            raise DataError(
                f"the outputs of the model at {path} are called {listing(labels)}; needed: "
                f"{listing(SHARES)}"
            )
        reach = getattr(config, "max_position_embeddings", None)
        if reach is not None and self._typed.max_tokens > reach:
            raise DataError(
                f"the model at {path} reads at most {reach} tokens; max_tokens is "
                f"{self._typed.max_tokens}"
            )
        return [labels[name] for name in SHARES]

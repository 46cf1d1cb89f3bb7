"""FinBERT's loading and scoring, on a small model of the same architecture."""

from __future__ import annotations

import itertools
import json
import socket

import numpy as np
import pytest

from hf_plugins.base import Material
from hf_plugins.errors import ConfigurationError, DataError
from hf_plugins.registry import scorers
from hf_plugins.scorers.finbert import DEFAULT_MODEL, DEFAULT_REVISION
from hf_plugins.testing import verify_plugin
from tests.plugins.scorers import tiny_bert

pytestmark = pytest.mark.xdist_group("finbert")

TEXTS = ["The company's profit surged", "Loss after lawsuit", "Meeting announced", "record default"]
TOKENS = 64


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch", reason="needs the extra 'deep'")


@pytest.fixture(scope="module")
def transformers():
    return pytest.importorskip("transformers", reason="needs the extra 'news'")


@pytest.fixture(scope="module", autouse=True)
def folder(torch, transformers, tmp_path_factory):
    return tiny_bert.make(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def copy(folder, tmp_path):
    """A copy whose files a test may break."""
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def scorer(folder, **params):
    found = scorers.create("text.finbert", model=str(folder), **{"max_tokens": TOKENS} | params)
    found.load(folder)
    return found


def edit(path, **values):
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_it_keeps_the_contract(folder):
    report = verify_plugin("scorer", "text.finbert", model=str(folder), max_tokens=TOKENS)
    assert report.ok, str(report)
    assert len(report.checks) == 10
    assert not report.unverified


def test_it_says_what_its_model_learned(folder):
    found = scorer(folder).score(TEXTS)
    assert found.iloc[:3, :3].to_numpy().argmax(axis=1).tolist() == [0, 1, 2]
    assert found["sentiment"].iloc[0] > 0.5
    assert found["sentiment"].iloc[1] < -0.5


def test_the_shares_are_the_softmax_of_the_model(folder, torch, transformers):
    model = transformers.BertForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = transformers.BertTokenizer.from_pretrained(folder)
    found = scorer(folder).score(TEXTS)
    with torch.inference_mode():
        # In a batch and padded, as a user would: the same but for rounding.
        logits = model(**tokenizer(TEXTS, padding=True, return_tensors="pt")).logits
    expected = torch.softmax(logits.double(), dim=1).numpy()
    np.testing.assert_allclose(found.iloc[:, :3], expected, rtol=0, atol=1e-6)


def test_the_order_of_the_labels_is_read_from_the_model(copy):
    """The same weights under other names of their outputs say the same of other names."""
    base = scorer(copy).score(TEXTS)
    for labels in itertools.permutations(tiny_bert.LABELS):
        names = {str(place): label.capitalize() for place, label in enumerate(labels)}
        edit(copy / "config.json", id2label=names, label2id={b: int(a) for a, b in names.items()})
        found = scorer(copy).score(TEXTS)
        for ours, theirs in zip(labels, tiny_bert.LABELS, strict=True):
            np.testing.assert_array_equal(found[ours], base[theirs])
        np.testing.assert_array_equal(found["sentiment"], found["positive"] - found["negative"])
        np.testing.assert_allclose(found["uncertainty"], base["uncertainty"], rtol=1e-12)


def test_a_long_text_is_cut_at_its_end(folder):
    found = scorer(folder, max_tokens=8).score(["profit " * 6, "profit " * 6 + "loss " * 500])
    assert found.iloc[0].equals(found.iloc[1])
    assert not found.iloc[0].equals(scorer(folder).score(["profit " * 6 + "loss " * 500]).iloc[0])


def test_nothing_is_asked_of_the_network(folder, monkeypatch):
    def refused(*_):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)
    assert len(scorer(folder).score(TEXTS)) == len(TEXTS)


def test_it_scores_nothing_before_it_is_loaded(folder):
    with pytest.raises(RuntimeError, match="is not loaded"):
        scorers.create("text.finbert", model=str(folder)).score(TEXTS)


# --------------------------------------------------------------------------- what is no such model


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match="needs the folder of a model, which is not at"):
        scorer(tmp_path / "none")


def test_pickled_weights_are_refused(copy, torch, transformers):
    model = transformers.BertForSequenceClassification.from_pretrained(copy)
    torch.save(model.state_dict(), copy / "pytorch_model.bin")
    (copy / "model.safetensors").unlink()
    with pytest.raises(DataError, match=r"no weights as safetensors.*pytorch_model\.bin"):
        scorer(copy)


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_a_missing_file(copy, name):
    (copy / name).unlink()
    with pytest.raises(DataError, match=f"has no {name}"):
        scorer(copy)


def test_a_broken_file_of_weights(copy):
    whole = (copy / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="cannot be read"):
        scorer(copy)


def test_weights_without_a_head_are_not_made_up(copy):
    from safetensors.torch import load_file, save_file

    weights = load_file(copy / "model.safetensors")
    save_file(
        {name: each for name, each in weights.items() if not name.startswith("classifier")},
        copy / "model.safetensors",
        metadata={"format": "pt"},
    )
    with pytest.raises(DataError, match=r"lack classifier\.bias, classifier\.weight"):
        scorer(copy)


def test_other_labels(copy):
    edit(copy / "config.json", id2label={"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"})
    with pytest.raises(DataError, match=r"called label_0.*needed: negative, neutral, positive"):
        scorer(copy)


def test_a_head_of_another_size(copy):
    edit(copy / "config.json", hidden_size=16)
    with pytest.raises(DataError, match="cannot be read"):
        scorer(copy)


def test_more_tokens_than_the_model_reads(folder):
    with pytest.raises(DataError, match="reads at most 64 tokens; max_tokens is 65"):
        scorer(folder, max_tokens=65)


# ----------------------------------------------------------------------------------------- identity


def test_the_default_is_a_pinned_model_of_the_hub():
    found = scorers.create("text.finbert")
    assert found.material == Material(DEFAULT_MODEL, DEFAULT_REVISION)
    assert found.parameters()["revision"] == DEFAULT_REVISION
    report = verify_plugin("scorer", "text.finbert")
    assert report.ok
    assert "not verified: what it scores, which takes ProsusAI/finbert of the hub" in str(report)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"model": "yiyanghkust/finbert-tone"}, "needs the full commit, 40 hex digits"),
        ({"model": "yiyanghkust/finbert-tone", "revision": "main"}, "needs the full commit"),
        ({"revision": "main"}, "needs the full commit"),
        ({"model": "models/finbert"}, r"for a local folder write \./models/finbert"),
        ({"model": "./finbert", "revision": "0" * 40}, "has no revision; its content counts"),
        ({"model": "fin bert", "revision": "0" * 40}, r"neither a name on the hub.*nor a path"),
    ],
)
def test_a_model_is_pinned_or_local(params, message):
    with pytest.raises(ConfigurationError, match=message):
        scorers.create("text.finbert", **params)


@pytest.mark.parametrize("model", ["./finbert", "../finbert", "/finbert", "~/finbert"])
def test_a_local_model_is_known_by_its_path(model):
    assert scorers.create("text.finbert", model=model).material == Material(model)

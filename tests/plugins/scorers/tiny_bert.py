"""A small BERT of FinBERT's architecture, with a vocabulary of its own and a head that is trained.

Nothing of it is downloaded or kept: tests make it, in the files in which a model comes.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Final

LABELS: Final = ("positive", "negative", "neutral")
WORDS: Final = {
    "positive": ("profit", "surged", "growth", "record", "beat"),
    "negative": ("loss", "plunged", "lawsuit", "default", "missed"),
    "neutral": ("meeting", "office", "announced", "located", "date"),
}
_COMMON: Final = ("the", "company", "in", "may", "and", "its", "a", "of")
_MARKS: Final = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", ",", "##s", "##ed")


def make(folder: Path, labels: Sequence[str] = LABELS, *, safe: bool = True) -> Path:
    """Train and save a model whose outputs are named ``labels``, in this order."""
    import torch

    transformers = import_module("transformers")
    folder.mkdir(parents=True)
    letters = [chr(each) for each in range(ord("a"), ord("z") + 1)]
    pieces = [*letters, *(f"##{each}" for each in letters)]
    vocabulary = [*_MARKS, *pieces, *_COMMON, *(word for each in WORDS.values() for word in each)]
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    tokenizer = transformers.BertTokenizer(str(folder / "vocab.txt"), do_lower_case=True)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        max_position_embeddings=64,
        id2label=dict(enumerate(labels)),
        label2id={label: place for place, label in enumerate(labels)},
    )
    model = transformers.BertForSequenceClassification(config)
    texts, targets = [], []
    for label, words in WORDS.items():
        for word in words:
            for frame in ("the company {}", "{} of the company in may", "its {} and a {}"):
                texts.append(frame.replace("{}", word))
                targets.append([str(each).lower() for each in labels].index(label))
    batch = tokenizer(texts, padding=True, return_tensors="pt")
    model.train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(25):
        optimiser.zero_grad()
        loss = model(**batch, labels=torch.tensor(targets)).loss
        loss.backward()
        optimiser.step()
    model.eval()
    if safe:
        model.save_pretrained(folder)
    else:
        config.save_pretrained(folder)
        torch.save(model.state_dict(), folder / "pytorch_model.bin")
    return folder

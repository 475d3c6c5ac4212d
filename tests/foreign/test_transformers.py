"""Models of `transformers` from a configuration: dict inputs, and outputs that are objects."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mmlib.mixing import Mixup, eligible_sites

transformers = pytest.importorskip(
    "transformers", reason="pip install transformers, to test mixing inside its models"
)

SMALL = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "num_labels": 5,
}
Y = torch.tensor([0, 1, 4, 2])


class Logits(nn.Module):
    """Takes the dict of a tokenizer, returns a tensor: five lines are all that Mixup needs."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        return self.model(**inputs).logits


def bert() -> tuple[nn.Module, dict[str, torch.Tensor]]:
    torch.manual_seed(0)
    config = transformers.BertConfig(vocab_size=50, max_position_embeddings=12, **SMALL)
    ids, mask = torch.randint(50, (4, 7)), torch.ones(4, 7, dtype=torch.long)
    mask[1, 5:] = 0
    model = transformers.BertForSequenceClassification(config).double()
    return model, {"input_ids": ids, "attention_mask": mask}


def vit() -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    config = transformers.ViTConfig(image_size=16, patch_size=4, **SMALL)
    return transformers.ViTForImageClassification(config).double(), torch.randn(
        4, 3, 16, 16
    ).double()


@pytest.mark.parametrize("site", ["bert.embeddings", "bert.encoder.layer.0", "bert.pooler"])
def test_a_text_classifier_with_a_dict_as_input(site, follows_the_definition):
    model, inputs = bert()
    follows_the_definition(Logits(model), inputs, Y, f"model.{site}")
    batch = transformers.BatchEncoding(inputs)  # what a tokenizer returns
    mixed = Mixup(layers=(f"model.{site}",))(Logits(model), batch, Y)
    assert mixed.logits.shape == (4, 5)


def test_a_text_classifier_as_it_is_with_ids_alone(follows_the_definition, splits_at):
    model, inputs = bert()
    ids, site = inputs["input_ids"], "bert.encoder.layer.0"
    follows_the_definition(model, ids, Y, site, read=lambda out: out.logits)
    splits_at(model, ids, Y, site)
    with pytest.raises(ValueError, match="num_classes.*SequenceClassifierOutput"):
        Mixup(layers=(site,))(model, ids, Y)
    with pytest.raises(TypeError, match="'input': expected floating values, but got torch.int64"):
        Mixup(layers=("input",), num_classes=5)(model, ids, Y)
    found = eligible_sites(model, ids)
    assert {"bert.embeddings", site, "bert.encoder.layer.1", "classifier"} <= set(found)
    assert "input" not in found and f"{site}.intermediate" not in found


def test_a_site_that_puts_out_an_object_is_chosen_by_the_name_of_its_field():
    model, inputs = bert()
    net, site = Logits(model), "model.bert.encoder"
    with pytest.raises(TypeError, match="say which element to mix"):
        Mixup(layers=(site,))(net, inputs, Y)
    whole = Mixup(layers=(site,), select="last_hidden_state")
    draw = whole.draw(4)
    torch.manual_seed(3)
    got = whole.apply(net, inputs, Y, draw).logits
    torch.manual_seed(3)
    last = Mixup(layers=("model.bert.encoder.layer.1",))
    draw = type(draw)(4, "model.bert.encoder.layer.1", draw.lam, draw.partner)
    torch.testing.assert_close(got, last.apply(net, inputs, Y, draw).logits)


@pytest.mark.parametrize("site", ["input", "vit.embeddings", "vit.layernorm"])
def test_an_image_classifier(site, follows_the_definition, splits_at):
    model, x = vit()
    follows_the_definition(model, x, Y, site, read=lambda out: out.logits)
    splits_at(model, x, Y, site)


def test_a_compiled_text_classifier_mixes_as_the_eager_one():
    model, inputs = bert()
    net = Logits(model)
    torch._dynamo.reset()
    compiled = torch.compile(net, backend="eager")
    compiled(inputs)
    mixup = Mixup(layers=("model.bert.encoder.layer.0",))
    draw = mixup.draw(4)
    logits = []
    for one in (net, compiled):
        torch.manual_seed(5)
        logits.append(mixup.apply(one, inputs, Y, draw).logits)
    torch.testing.assert_close(*logits)
    torch._dynamo.reset()

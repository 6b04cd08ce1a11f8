"""The text encoder: a prompt becomes the hidden states of a few layers of a language model, side by side.

[klein] reads with Qwen 3, [dev] with Mistral 3 under a system message. The arithmetic is diffusers' own, one prompt at
a time: the same prompt gives the same bits whoever stands beside it, and equal prompts are encoded once by the caller.
"""

from typing import Any, Self

import torch
from diffusers import Flux2KleinPipeline, Flux2Pipeline
from diffusers.pipelines.flux2.pipeline_flux2 import format_input
from diffusers.pipelines.flux2.system_messages import SYSTEM_MESSAGE
from transformers import (
    AutoConfig,
    AutoTokenizer,
    Mistral3ForConditionalGeneration,
    Qwen2TokenizerFast,
    Qwen3ForCausalLM,
)

from pressrun.pipeline.errors import RequestError
from pressrun.pipeline.models.catalogue import Model
from pressrun.pipeline.models.checkpoint import dtype_of, load_files, load_part
from pressrun.pipeline.models.precision import SCALE_BYTES
from pressrun.pipeline.models.quantisation import quantise


class TextEncoder:
    """A model's text encoder and tokenizer. `encode` gives what diffusers' `encode_prompt` gives, bit for bit."""

    def __init__(self, model: Model, network: torch.nn.Module, tokenizer: Any) -> None:
        self.model = model
        self.network = network
        self.tokenizer = tokenizer

    @classmethod
    def load(cls, model: Model, precision: str, device: str = "cpu") -> Self:
        """Read weights and tokenizer from `model`'s folder. Raises JobError where they cannot be loaded, or not in
        that precision.

        Layers behind the last one that embeddings are made of are not read: 9 of 36 in Qwen 3, 10 of 40 in Mistral 3.
        [dev]'s processor is loaded as the tokenizer inside it, which renders the same chat template to the same
        tokens: the processor itself would need torchvision, for pictures that never reach it.
        """
        network_class = Mistral3ForConditionalGeneration if model.family == "flux2" else Qwen3ForCausalLM
        tokenizer_class = AutoTokenizer if model.family == "flux2" else Qwen2TokenizerFast
        config = load_files(AutoConfig, model, "text_encoder")
        shortened = _shorten(config.get_text_config(), max(model.text_layers))
        network = load_part(network_class, model, "text_encoder", dtype_of(precision), "cpu", config=config)
        network.lm_head = torch.nn.Identity()  # its words are never asked for, and it is a gigabyte
        decoder = network.model
        if model.family == "flux2":
            decoder.vision_tower = decoder.multi_modal_projector = None
            decoder = decoder.language_model
        if shortened:
            decoder.norm = torch.nn.Identity()  # the hidden states of a layer in the middle are not normalised
        if precision in SCALE_BYTES:
            _quantise_layers(decoder.layers, precision, device)
        return cls(model, network.to(device), load_files(tokenizer_class, model, "tokenizer"))

    @torch.no_grad()
    def encode(self, prompt: str) -> torch.Tensor:
        """The prompt's embedding (L, D), padded to `text_length` tokens; the padding is part of the recipe.

        Raises RequestError `prompt_too_long`, where diffusers would silently cut the prompt's end off.
        """
        self.check(prompt)
        embed = (
            Flux2Pipeline._get_mistral_3_small_prompt_embeds
            if self.model.family == "flux2"
            else Flux2KleinPipeline._get_qwen3_prompt_embeds
        )
        embedding: torch.Tensor = embed(
            self.network,
            self.tokenizer,
            prompt,
            max_sequence_length=self.model.text_length,
            hidden_states_layers=list(self.model.text_layers),
        )  # (1, L, D)
        return embedding[0]

    def check(self, prompt: str) -> None:
        """Raise RequestError `prompt_too_long` where `prompt` has more tokens than the model reads."""
        tokens, limit = self._count(prompt), self.model.text_length
        if tokens > limit:
            raise RequestError(
                "prompt_too_long",
                f"The prompt has {tokens} tokens and {self.model.name} reads at most {limit}: shorten it by "
                f"{tokens - limit} (a token is about three quarters of an English word).",
            )

    def _count(self, prompt: str) -> int:
        """Tokens of the prompt inside the chat template that `encode` puts around it."""
        if self.model.family == "flux2":
            [messages] = format_input([prompt], SYSTEM_MESSAGE)
            text = self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=False)
            return len(self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])
        text = self.tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt}], tokenize=False, add_generation_prompt=True, enable_thinking=False
        )
        return len(self.tokenizer(text, verbose=False)["input_ids"])


def _quantise_layers(layers: torch.nn.ModuleList, precision: str, device: str) -> None:
    """Put the matrices of a language model's layers into eight bits, one by one on `device`: none but the one that is
    being made is ever there in bf16."""
    for part in layers.modules():
        if isinstance(part, torch.nn.Linear):
            small = quantise(part.weight.detach().to(device), precision)
            part.weight = torch.nn.Parameter(small, requires_grad=False)


def _shorten(config: Any, layers: int) -> bool:
    """Cut a language model's configuration after `layers` layers; whether there were more."""
    if layers >= config.num_hidden_layers:
        return False
    config.num_hidden_layers = layers
    if getattr(config, "layer_types", None):
        config.layer_types = config.layer_types[:layers]
    return True

"""UniMSE: audio and video join the last layers of a pre-trained T5 (Hu, Lin, Zhao, Lu, Wu and Li 2022)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from einops import repeat
from jaxtyping import Bool, Float
from torch import Tensor, nn

from robustmer.batch import Batch, Shape, mean_over_time
from robustmer.extras import MissingExtra
from robustmer.nn.crossmodal import available, last_frame, sequence
from robustmer.nn.contrast import cpc
from robustmer.systems.mmim import text_first
from robustmer.systems.system import AdamW, Objective, System, widths
from robustmer.tasks import Task

Frames = Float[Tensor, "batch time wide"]
Vectors = Float[Tensor, "batch other"]
FIELDS = ("d_model", "d_kv", "d_ff", "num_layers", "num_heads", "relative_attention_num_buckets",
          "relative_attention_max_distance", "dropout_rate", "layer_norm_epsilon", "feed_forward_proj")  # fmt: skip
"""The fields of `transformers.T5Config` that describe an encoder; others are t5-small's."""


class UniMSE(System):
    """The encoder of a T5 reads the frames of one modality, text where there is any. A vector of each other modality,
    made by an LSTM, is fused into every frame behind the last `fused` layers (`Fusion`, section 3.4), and a linear
    layer reads the mean over the frames. L = task + `weight` times the sum, over these layers and the other modalities,
    of a contrastive loss (section 3.5) between the mean of the fused frames and the modality's vector, both projected
    to `shared` numbers.

    T5 comes from `folder`, written by `save_pretrained` (nothing is downloaded), or is random with the sizes of
    `config`, some of FIELDS. Raises ValueError for a config, a folder or a number of fused layers that fit no T5,
    FileNotFoundError, and MissingExtra without the package `transformers` (the extra `t5`).

    Defaults are the authors', whose code has no contrast by default; they were not checked against the paper. It is
    simplified: T5 reads features instead of words, a linear layer predicts instead of T5's decoder, all layers of T5
    learn instead of the last two, and there are no universal labels and no joint tasks.
    """

    def __init__(
        self, shapes: Mapping[str, Shape], task: Task, folder: str | None = None, config: dict | None = None,
        fused: int = 3, width: int = 32, adapter: int = 64, shared: int = 30, dropout: float = 0.3,
        weight: float = 0.5, temperature: float = 0.1, lr: float = 1e-4, lr_t5: float = 3e-4,
    ):  # fmt: skip
        super().__init__()
        self.weight, self.temperature, self.lr, self.lr_t5 = weight, temperature, lr, lr_t5
        t5, dims = read_t5(folder, config), widths(shapes)
        self.config = {name: getattr(t5.config, name) for name in FIELDS}
        if "folder" in self.settings:  # a saved system holds the weights of its T5
            self.settings |= {"folder": None, "config": self.config}
        wide = self.config["d_model"]
        if not 1 <= fused <= len(t5.block):
            raise ValueError(f"fused={fused}: this T5 has {len(t5.block)} layers; give 1 to {len(t5.block)}")
        self.source, *others = text_first(shapes)
        self.t5 = nn.ModuleDict({"blocks": t5.block, "norm": t5.final_layer_norm, "dropout": t5.dropout})
        self.project = nn.Linear(dims[self.source], wide)
        self.lstm, self.vector = nn.ModuleDict(), nn.ModuleDict()
        for m in others:
            self.lstm[m] = nn.LSTM(dims[m], width, batch_first=True)
            self.vector[m] = nn.Sequential(nn.Dropout(dropout), nn.Linear(width, width))
        self.fusions = nn.ModuleList(Fusion(wide, len(others) * width, adapter) for _ in range(fused))
        pair = lambda: nn.ModuleList(nn.Linear(size, shared, bias=False) for size in (wide, width))  # noqa: E731
        self.to_shared, self.out = nn.ModuleDict({m: pair() for m in others}), nn.Linear(wide, task.outputs)

    def forward(self, observed: Batch) -> Tensor:
        return self.read(observed)[0]

    def read(self, observed: Batch) -> tuple[Tensor, dict[str, Tensor], list[Tensor]]:
        """The output, a vector of each modality but the source (the LSTM's last state, through a linear layer; 0 where
        it is absent), and the mean over the frames behind each fused layer."""
        vectors = {}
        for m, lstm in self.lstm.items():
            x, mask = sequence(observed, m)
            vectors[m] = self.vector[m](last_frame(lstm(x)[0], mask)[:, 0]) * available(observed, m)[:, None]
        x, mask = sequence(observed, self.source)
        others = torch.cat([x.new_zeros(len(x), 0), *vectors.values()], dim=1)
        frames, fused = self.encode(self.project(x), mask, others)
        return self.out(mean_over_time(frames, mask)), vectors, [mean_over_time(h, mask) for h in fused]

    def encode(self, x: Frames, mask: Bool[Tensor, "batch time"], others: Vectors) -> tuple[Frames, list[Frames]]:
        """T5's encoder with a fusion behind its last layers: its output and those of the fusions."""
        plain = len(self.t5["blocks"]) - len(self.fusions)
        bias = x.new_zeros(mask.shape).masked_fill(~mask, torch.finfo(x.dtype).min)[:, None, None]
        h, position, fused = self.t5["dropout"](x), None, []
        for i, block in enumerate(self.t5["blocks"]):
            h, position, *_ = block(h, bias, position)  # the first layer computes the positions' bias for all
            if i >= plain:
                h = self.fusions[i - plain](h, others)
                fused.append(h)
        return self.t5["dropout"](self.t5["norm"](h)), fused

    def objectives(self) -> dict[str, Objective]:
        own = [p for name, p in self.named_parameters() if not name.startswith("t5.")]
        groups = [{"params": own, "lr": self.lr}, {"params": list(self.t5.parameters()), "lr": self.lr_t5}]
        return {"all": Objective(self.loss, groups, AdamW(self.lr))}

    def loss(self, clean: Batch, observed: Batch) -> dict[str, Tensor]:
        (output, vectors, fused), contrasts = self.read(observed), []
        for m, (language, other) in self.to_shared.items():
            both, vector = available(observed, self.source) & available(observed, m), other(vectors[m])
            contrasts += [cpc(language(h), vector, both, self.temperature) for h in fused]
        terms = {"task": self.task.loss(output, observed)}
        return terms | {"contrast": self.weight * sum(contrasts)} if contrasts else terms


class Fusion(nn.Module):
    """Pre-trained modality fusion (UniMSE 3.4): of a layer's frames F_{i-1} and the vectors A and V of a sample

        F_i = [F_{i-1}; A; V],  F_i^d = sigmoid(W^d F_i + b^d),  F_i^u = W^u F_i^d + b^u,  F_i = W (F_i^u + F_{i-1}).

    W begins as the identity, W^u and b^u at zero: the first output is the pre-trained T5's.
    """

    def __init__(self, wide: int, others: int, adapter: int):
        super().__init__()
        self.down, self.up = nn.Linear(wide + others, adapter), nn.Linear(adapter, wide)
        self.out = nn.Linear(wide, wide, bias=False)
        nn.init.zeros_(self.up.weight), nn.init.zeros_(self.up.bias), nn.init.eye_(self.out.weight)

    def forward(self, frames: Frames, others: Vectors) -> Frames:
        both = torch.cat([frames, repeat(others, "b d -> b t d", t=frames.shape[1])], dim=-1)
        return self.out(self.up(self.down(both).sigmoid()) + frames)


def read_t5(folder: str | None, config: dict | None) -> nn.Module:
    """The encoder of the T5 in `folder`, in 32 bits, or a random one of these sizes. Raises as UniMSE does."""
    if (folder is None) == (config is None):
        raise ValueError('UniMSE needs one T5: give either folder="...", with weights, or config={"d_model": ...}')
    try:
        from transformers import T5Config, T5EncoderModel
    except ImportError as error:
        raise MissingExtra("UniMSE needs the extra `t5`: pip install 'robustmer[t5]'") from error
    if folder and not Path(folder).is_dir():
        raise FileNotFoundError(f"{folder} is no folder; give one that T5's save_pretrained wrote")
    if unknown := sorted({*(config or ())} - {*FIELDS}):
        raise ValueError(f"config has {', '.join(unknown)}; an encoder of T5 has {', '.join(FIELDS)}")
    try:
        if folder is None:  # a vocabulary of T5's two special words, whose embeddings are not kept
            return T5EncoderModel(T5Config(vocab_size=2, **config)).encoder
        choices = {"local_files_only": True, "use_safetensors": True, "output_loading_info": True}
        model, about = T5EncoderModel.from_pretrained(folder, dtype=torch.float32, **choices)
    except Exception as error:  # every field and every kind of damage has an error of its own
        raise ValueError(f"no T5 can be made of {folder or dict(config)} ({' '.join(str(error).split())})") from error
    lacking = sorted(name for name in about["missing_keys"] if name.startswith(("encoder.block", "encoder.final")))
    if lacking:  # transformers draws them at random
        raise ValueError(f"{folder} lacks the tensor {lacking[0]!r} of its T5 and {len(lacking) - 1} more")
    return model.encoder

"""UniMSE: audio and video join the last layers of a pre-trained T5 (Hu, Lin, Zhao, Lu, Wu and Li 2022)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from einops import rearrange, repeat
from jaxtyping import Bool, Float
from torch import Tensor, nn

from robustmer.batch import MODALITIES, Batch, mean_over_time
from robustmer.extras import MissingExtra
from robustmer.nn.crossmodal import available, last_frame, sequence
from robustmer.nn.task import outputs, task_loss
from robustmer.systems.mmim import cpc
from robustmer.systems.system import Objective, Stage, System

FIELDS = ("d_model", "d_kv", "d_ff", "num_layers", "num_heads", "relative_attention_num_buckets",
          "relative_attention_max_distance", "dropout_rate", "layer_norm_epsilon", "feed_forward_proj")  # fmt: skip
"""What `transformers.T5Config` says of an encoder; a `config` has some of them, the others are those of t5-small."""


class UniMSE(System):
    """The encoder of a T5 reads the frames of one modality, text where there is any. Of each other modality a vector,
    made by an LSTM, is fused into every frame behind each of the last `fused` layers (`Fusion`, section 3.4), and a
    linear layer reads the mean over the frames.

    L = task + `weight` times the sum, over these layers and over the other modalities, of a contrastive loss between
    the mean of the fused frames and the modality's vector, both projected to `shared` numbers: a row's own vector is
    told from those of the other rows of the batch (section 3.5).

    T5 comes from `folder`, which holds `config.json` and the weights (`save_pretrained` writes such a folder; nothing
    is ever downloaded), or begins at random with the sizes of `config`, some of FIELDS. One of the two must be given.
    A saved UniMSE holds T5's weights and sizes, so to load it needs no folder. The package `transformers` is the extra
    `t5`. Raises ValueError where neither or both are given, for a config or a number of fused layers that T5 cannot
    have and for a folder that holds no T5, FileNotFoundError where there is no folder, and MissingExtra.

    The three fused layers, sizes (32 for a modality's vector, 64 inside a fusion, 30 for the contrast), temperature
    0.1, weight 0.5, dropout 0.3 and learning rates (3e-4 for T5, 1e-4 for the rest) are those of the authors' code, in
    which the contrast is off unless asked for; they were not checked against the text of the paper. Simplified: it is
    not words that are read but the features of a corpus, through a linear layer; a linear layer predicts, where UniMSE
    generates the words of a label by T5's decoder; there are no universal labels, and no tasks learnt together. The
    authors' code lets the last two layers of T5 learn, here all do, and contrasts the mean over the LSTM's frames of a
    modality, here its one vector.
    """

    def __init__(
        self,
        dims: Mapping[str, int],
        classes: Sequence[str],
        folder: str | None = None,
        config: Mapping[str, object] | None = None,
        fused: int = 3,
        width: int = 32,
        adapter: int = 64,
        shared: int = 30,
        dropout: float = 0.3,
        weight: float = 0.5,
        temperature: float = 0.1,
        lr: float = 1e-4,
        lr_t5: float = 3e-4,
    ):
        super().__init__()
        self.weight, self.temperature, self.lr, self.lr_t5 = weight, temperature, lr, lr_t5
        t5 = read_t5(folder, config)
        self.config = {name: getattr(t5.config, name) for name in FIELDS}
        deep, wide = self.config["num_layers"], self.config["d_model"]
        if not 1 <= fused <= deep:
            raise ValueError(f"{fused} layers of T5 were to be fused, it has {deep}; give fused=1 to fused={deep}")
        self.source, *others = [m for m in reversed(MODALITIES) if m in dims]
        # Without T5's embeddings: no words are read.
        self.t5 = nn.ModuleDict({"blocks": t5.block, "norm": t5.final_layer_norm, "dropout": t5.dropout})
        self.project = nn.Linear(dims[self.source], wide)
        self.summaries = nn.ModuleDict({m: LastState(dims[m], width, dropout) for m in others})
        self.fusions = nn.ModuleList(Fusion(wide, len(others) * width, adapter) for _ in range(fused))
        self.to_shared = nn.ModuleDict(
            {m: nn.ModuleList(nn.Linear(size, shared, bias=False) for size in (wide, width)) for m in others}
        )
        self.out = nn.Linear(wide, outputs(classes))

    def forward(self, seen: Batch) -> Tensor:
        return self.read(seen, self.summarised(seen))[0]

    def summarised(self, seen: Batch) -> dict[str, Float[Tensor, "batch width"]]:
        """One vector for each row and each modality but the source; 0 where it is absent."""
        found = {}
        for m, summary in self.summaries.items():
            there = rearrange(available(seen, m), "b -> b 1")
            found[m] = torch.where(there, summary(*sequence(seen, m)), 0.0)
        return found

    def read(
        self, seen: Batch, summaries: Mapping[str, Float[Tensor, "batch width"]]
    ) -> tuple[Float[Tensor, "batch output"], list[Float[Tensor, "batch wide"]]]:
        """Logits, and behind each fused layer the mean of its frames."""
        x, here = sequence(seen, self.source)
        x = self.project(x)
        others = torch.cat([x.new_zeros(len(seen), 0), *summaries.values()], dim=1)
        frames, fused = self.encode(x, here, others)
        return self.out(mean_over_time(frames, here)), [mean_over_time(h, here) for h in fused]

    def encode(
        self,
        x: Float[Tensor, "batch time wide"],
        here: Bool[Tensor, "batch time"],
        others: Float[Tensor, "batch other"],
    ) -> tuple[Float[Tensor, "batch time wide"], list[Float[Tensor, "batch time wide"]]]:
        """T5's encoder with a fusion behind each of its last layers; its output, and what each fusion puts out. Only
        frames that are `here` are heard, at least one of each row."""
        plain = len(self.t5["blocks"]) - len(self.fusions)
        mask = x.new_zeros(here.shape).masked_fill(~here, torch.finfo(x.dtype).min)[:, None, None]
        h, position, fused = self.t5["dropout"](x), None, []
        for i, block in enumerate(self.t5["blocks"]):
            h, position, *_ = block(h, mask, position)  # the first layer says what positions add to all of them
            if i >= plain:
                h = self.fusions[i - plain](h, others)
                fused.append(h)
        return self.t5["dropout"](self.t5["norm"](h)), fused

    def stages(self) -> Iterator[Stage]:
        own = dict.fromkeys(self.t5.parameters(), self.lr_t5)
        yield Stage("classify", {"all": Objective(self.loss, self.parameters(), lr=self.lr, lr_of=own)})

    def loss(self, clean: Batch, seen: Batch) -> dict[str, Tensor]:
        summaries = self.summarised(seen)
        logits, fused = self.read(seen, summaries)
        terms = {"cls": task_loss(logits, seen.label)}
        if summaries:  # a single modality has no other to be told from
            contrasts = []
            for m, (language, other) in self.to_shared.items():
                both, vector = available(seen, self.source) & available(seen, m), other(summaries[m])
                contrasts += [cpc(language(h), vector, both, self.temperature) for h in fused]
            terms["contrast"] = self.weight * sum(contrasts)
        return terms

    def settings_to_save(self) -> dict:
        return self.settings | {"folder": None, "config": self.config}


class LastState(nn.Module):
    """A one-directional LSTM's state after the last frame that counts, and a linear layer."""

    def __init__(self, dim: int, width: int, dropout: float):
        super().__init__()
        self.lstm = nn.LSTM(dim, width, batch_first=True)
        self.out = nn.Sequential(nn.Dropout(dropout), nn.Linear(width, width))

    def forward(
        self, x: Float[Tensor, "batch time dim"], here: Bool[Tensor, "batch time"]
    ) -> Float[Tensor, "batch width"]:
        """Frames that count are the first ones of a row, at least one."""
        return self.out(last_frame(self.lstm(x)[0], here)[:, 0])


class Fusion(nn.Module):
    """Pre-trained modality fusion (UniMSE 3.4): of a layer's frames F_{i-1} and the vectors A and V of a row

        F_i = [F_{i-1}; A; V],  F_i^d = sigmoid(W^d F_i + b^d),  F_i^u = W^u F_i^d + b^u,  F_i = W (F_i^u + F_{i-1}).

    W begins as the identity, W^u and b^u at zero, so that at first every layer gives what T5 was trained to give; the
    equations do not say how they begin. The authors' code lets F_i^u be as wide as [F_{i-1}; A; V] and adds it to that.
    """

    def __init__(self, wide: int, others: int, adapter: int):
        super().__init__()
        self.down = nn.Linear(wide + others, adapter)
        self.up = nn.Linear(adapter, wide)
        self.out = nn.Linear(wide, wide, bias=False)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)
        nn.init.eye_(self.out.weight)

    def forward(
        self, frames: Float[Tensor, "batch time wide"], others: Float[Tensor, "batch other"]
    ) -> Float[Tensor, "batch time wide"]:
        beside = torch.cat([frames, repeat(others, "b d -> b t d", t=frames.shape[1])], dim=-1)
        return self.out(self.up(self.down(beside).sigmoid()) + frames)


def read_t5(folder: str | None, config: Mapping[str, object] | None) -> nn.Module:
    """The encoder of the T5 in `folder`, in 32 bits, or a random one of these sizes. Raises what UniMSE raises."""
    if (folder is None) == (config is None):
        raise ValueError(
            f"UniMSE reads through a T5, and {'neither' if folder is None else 'both'} of folder and config came: give "
            'folder="..." with pre-trained weights, or config={"d_model": ...} for a T5 that begins at random'
        )
    try:
        import transformers
    except ImportError as error:
        raise MissingExtra("UniMSE needs the extra `t5`: pip install -e '.[t5]'") from error
    if folder is not None:
        return pretrained(Path(folder))
    if not isinstance(config, Mapping):
        raise ValueError(f"config is {config!r}; give a dictionary of some of {', '.join(FIELDS)}")
    unknown = sorted(set(config) - set(FIELDS))
    if unknown:
        raise ValueError(f"config has {', '.join(unknown)}; an encoder of T5 has {', '.join(FIELDS)}")
    words = 2  # T5 names two special ones; their embeddings are not kept
    try:
        return transformers.T5EncoderModel(transformers.T5Config(vocab_size=words, **config)).encoder
    except Exception as error:  # every field has an error of its own
        raise ValueError(f"no T5 has the config {dict(config)} ({in_a_line(error)})") from error


def pretrained(folder: Path) -> nn.Module:
    from transformers import T5EncoderModel

    asked = f"the weights of T5 were asked for in {folder}"
    advice = "give a folder that T5's save_pretrained wrote or a downloaded T5 (config.json and model.safetensors)"
    if not folder.is_dir():
        raise FileNotFoundError(f"{asked}, and there is no such folder; {advice}")
    asked += f", which holds {', '.join(sorted(file.name for file in folder.iterdir())) or 'nothing'}"
    try:
        with silence():
            found, about = T5EncoderModel.from_pretrained(
                folder, local_files_only=True, dtype=torch.float32, output_loading_info=True,
                ignore_mismatched_sizes=True,
            )  # fmt: skip
    except Exception as error:  # what is not there, or damaged, shows itself in many ways
        raise ValueError(f"{asked} and cannot be read ({in_a_line(error)}); {advice}") from error
    # Without an error transformers draws at random what is not there, and all that another network lacks.
    unread = {*about["missing_keys"], *(name for name, *_ in about["mismatched_keys"])}
    unread = sorted(name for name in unread if name.startswith(("encoder.block", "encoder.final")))
    if unread:
        more = f" (nor {len(unread) - 1} more)" if unread[1:] else ""
        raise ValueError(f"{asked} and no tensor {unread[0]!r} of the right size{more}; {advice}")
    return found.encoder


@contextmanager
def silence() -> Iterator[None]:
    """No progress bar and no report of transformers, whose settings are put back."""
    from transformers.utils import logging

    verbosity, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bar:
            logging.enable_progress_bar()


def in_a_line(error: Exception) -> str:
    return " ".join(str(error).split())

/**
 * The Python program that writes a reference with the person's own transformers: plain hooks, no library of ours. What
 * depends on the model stands in its first lines, which `referenceScript` writes.
 */
export const referenceProgram = String.raw`import argparse
import json
import os

import torch
import transformers
from safetensors.torch import save_file
from torch.overrides import TorchFunctionMode

NEW_TOKENS = 8
# Greedy tokens are kept as long as the best logit is this far (of the largest) above the second best.
CLEAR = 1e-3


class Float64(TorchFunctionMode):
    """transformers computes norms, softmax and angles in float32 whatever the weights are; here they stay in float64."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function is torch.Tensor.float:
            return args[0].double()
        wide = lambda value: torch.float64 if value is torch.float32 else value
        return function(*map(wide, args), **{key: wide(value) for key, value in (kwargs or {}).items()})


def free_memory():
    try:
        with open("/proc/meminfo") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return 8 * 2**30


def load(place, dtype):
    """The model for computing in dtype; where none is asked for, in float64 if it fits into memory."""
    where = {"pretrained_model_name_or_path": place}
    if place.endswith(".gguf"):
        folder, file = os.path.split(os.path.abspath(place))
        where = {"pretrained_model_name_or_path": folder, "gguf_file": file}
    model = transformers.AutoModelForCausalLM.from_pretrained(**where, attn_implementation="eager")
    if hasattr(model, "set_experts_implementation"):
        model.set_experts_implementation("eager")
    if dtype is None:
        count = sum(weight.numel() for weight in model.parameters())
        dtype = "float64" if 10 * count < free_memory() else "float32"
    return model.to(getattr(torch, dtype)).eval(), dtype


def first(output):
    return output[0] if isinstance(output, (tuple, list)) else output


def part(module, names):
    """The first module below this one that has one of these names."""
    found = (inner for name, inner in module.named_modules() if name.split(".")[-1] in names)
    return next(found, None)


class Watched:
    """A model whose residual stream, sublayers and heads are seen, and can be changed."""

    def __init__(self, model, dtype):
        self.model = model
        self.mode = Float64 if dtype == "float64" else torch.no_grad
        config = model.config.get_text_config() if hasattr(model.config, "get_text_config") else model.config
        self.heads = config.num_attention_heads
        depth = config.num_hidden_layers
        lists = (m for m in model.modules() if isinstance(m, torch.nn.ModuleList) and len(m) == depth)
        self.blocks = next(lists)
        self.change = {}
        self.seen = {}
        for layer, block in enumerate(self.blocks):
            block.register_forward_pre_hook(self.at_input(layer), with_kwargs=True)
            block.register_forward_hook(self.keeping((layer, "out")))
            for name, child in block.named_children():
                child.register_forward_hook(self.keeping((layer, "child", name)))
            attention = part(block, ("self_attn", "attn", "attention", "self_attention"))
            output = None if attention is None else part(attention, ("o_proj", "out_proj", "c_proj", "dense", "wo"))
            if output is not None:
                output.register_forward_pre_hook(self.at_heads(layer))

    def keeping(self, key):
        def hook(module, args, output):
            value = first(output)
            if torch.is_tensor(value):
                self.seen[key] = value

        return hook

    def at_input(self, layer):
        def hook(module, args, kwargs):
            value = args[0] if args else kwargs["hidden_states"]
            if (layer, "in") in self.change:
                value = self.change[layer, "in"](value)
                args, kwargs = ((value, *args[1:]), kwargs) if args else (args, {**kwargs, "hidden_states": value})
            self.seen[layer, "in"] = value
            return args, kwargs

        return hook

    def at_heads(self, layer):
        def hook(module, args):
            value = args[0]
            if value.shape[-1] % self.heads != 0:
                return None
            heads = value.reshape(*value.shape[:-1], self.heads, -1)
            if (layer, "z") in self.change:
                heads = self.change[layer, "z"](heads)
            self.seen[layer, "z"] = heads
            return (heads.reshape(value.shape), *args[1:])

        return hook

    def run(self, ids, change=None, attentions=False):
        """Logits [B,S,V]; what was seen on the way is in self.seen."""
        self.change, self.seen = change or {}, {}
        with torch.no_grad(), self.mode():
            output = self.model(input_ids=ids, use_cache=False, output_attentions=attentions)
        self.change = {}
        self.seen["attentions"] = getattr(output, "attentions", None)
        return output.logits

    def greedy(self, ids, change=None):
        """The ids and what follows them, for as long as every row's choice is clear."""
        for _ in range(NEW_TOKENS):
            logits = self.run(ids, change)[:, -1]
            best, second = logits.topk(2).values.unbind(-1)
            if ((best - second) / logits.abs().amax(-1)).min() < CLEAR:
                break
            ids = torch.cat([ids, logits.argmax(-1, keepdim=True)], dim=1)
        return ids


def sublayers(seen, residuals):
    """
    Names of the two modules of a block that add to the residual stream, or None: those whose outputs are what lies
    between the residual streams, so no family has to be known by name.
    """
    names = [key[2] for key in seen if key[:2] == (0, "child")]
    for attention in (name for name in names if "att" in name):
        for mlp in (name for name in names if name != attention):
            if all(adds_up(seen, residuals, layer, attention, mlp) for layer in range(len(residuals) - 1)):
                return attention, mlp
    return None


def adds_up(seen, residuals, layer, *names):
    parts = [seen.get((layer, "child", name)) for name in names]
    before, after = residuals[layer : layer + 2]
    if any(value is None or value.shape != before.shape for value in parts):
        return False
    return bool((before + sum(parts) - after).abs().max() <= 1e-5 * after.abs().max())


def activations(watched, batch, length):
    """By hook name, of the last run."""
    seen, depth = watched.seen, len(watched.blocks)
    residuals = [seen[layer, "in"] for layer in range(depth)] + [seen[depth - 1, "out"]]
    found = {f"blocks.{layer}.hook_resid_pre": residuals[layer] for layer in range(depth)}
    found[f"blocks.{depth - 1}.hook_resid_post"] = residuals[-1]
    names = sublayers(seen, residuals)
    for layer in range(depth):
        if names is not None:
            found[f"blocks.{layer}.hook_attn_out"] = seen[layer, "child", names[0]]
            found[f"blocks.{layer}.hook_mlp_out"] = seen[layer, "child", names[1]]
        if (layer, "z") in seen:
            heads = seen[layer, "z"]
            found[f"blocks.{layer}.attn.hook_z"] = heads.reshape(batch, length, *heads.shape[-2:])
        patterns = seen["attentions"]
        if patterns is not None and len(patterns) == depth and patterns[layer] is not None:
            found[f"blocks.{layer}.attn.hook_pattern"] = patterns[layer]
    return found


def main():
    parser = argparse.ArgumentParser(description="Write a parity reference for Patchbay.")
    parser.add_argument("model", nargs="?", default=MODEL, help="the same model: a folder, a .gguf file or a name")
    parser.add_argument("--out", default=OUT, help="folder to write")
    parser.add_argument("--dtype", choices=["float64", "float32"], help="default: float64 where it fits into memory")
    options = parser.parse_args()

    model, dtype = load(options.model, options.dtype)
    watched = Watched(model, dtype)
    ids = torch.tensor(PROMPTS)
    batch, length = ids.shape
    depth = len(watched.blocks)
    block = depth // 2

    tensors = {"input_ids": ids, "logits": watched.run(ids, attentions=True)}
    tensors.update(activations(watched, batch, length))
    residual = tensors[f"blocks.{block}.hook_resid_pre"]

    # A vector as large as the residual stream is on average, exact in float16.
    noise = torch.randn(residual.shape[-1], generator=torch.Generator().manual_seed(1))
    vector = (noise * residual.pow(2).mean().sqrt().float()).half().to(residual.dtype)
    steer = {(block, "in"): lambda x: x + vector}
    tensors["steer.vector"] = vector
    tensors["steer.logits"] = watched.run(ids, steer)
    for name, change in (("generate.ids", None), ("steer.generate.ids", steer)):
        continued = watched.greedy(ids, change)
        if continued.shape[1] > length:
            tensors[name] = continued

    position = length // 2

    def patch(x):
        x = x.clone()
        x[0, position] = residual[1, position]
        return x

    tensors["patch.logits"] = watched.run(ids, {(block, "in"): patch})[0]

    ablated = {}
    if (block, "z") in watched.seen:
        head = watched.heads - 1

        def ablate(z):
            z = z.clone()
            z[..., head, :] = 0
            return z

        ablated = {"ablate": {"layer": block, "head": head}}
        tensors["ablate.logits"] = watched.run(ids, {(block, "z"): ablate})

    description = {
        "name": NAME,
        "architecture": model.config.model_type,
        "class_name": type(model).__name__,
        "made_for": MADE_FOR,
        "layers": depth,
        "batch": batch,
        "sequence": length,
        "steer_block": block,
        "patch": {"block": block, "position": position, "from_row": 1, "into_row": 0},
        **ablated,
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        "computed_in": dtype,
        "stored_as": "float32",
        "tensors": {name: list(tensor.shape) for name, tensor in sorted(tensors.items())},
    }
    stored = {
        name: tensor.detach().to(torch.float32 if tensor.is_floating_point() else torch.int64).clone().contiguous()
        for name, tensor in tensors.items()
    }
    os.makedirs(options.out, exist_ok=True)
    save_file(stored, os.path.join(options.out, "reference.safetensors"))
    with open(os.path.join(options.out, "reference.json"), "w") as file:
        json.dump(description, file, indent=1)
    print(f"{len(tensors)} tensors of {NAME}, computed in {dtype}, are in {options.out}")


if __name__ == "__main__":
    main()
`

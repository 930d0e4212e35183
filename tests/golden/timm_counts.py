#!/usr/bin/env python3
"""Writes timm_counts.json: what timm 1.0.29 says of every name that it registers for our families.

    timm_counts.py OUT.json [FULL.json]

For each name: timm's module, parameters, MACs (convolutions and matrix products, attention's included,
for one image), input (C,H,W), classes, statistics (a key of "statistics"), crop_pct, interpolation.
FULL.json also gets the names and shapes of all floating tensors. Runs on shapes alone (device meta).
"""
import json
import sys
import warnings

import timm
import torch
from timm.layers import set_fused_attn
from torch.utils.flop_counter import FlopCounterMode

MODULES = ["resnet", "resnetv2", "regnet", "mobilenetv3", "efficientnet", "densenet", "vgg", "convnext",
           "vision_transformer", "deit", "swin_transformer", "mlp_mixer", "metaformer"]


def on_cpu(function):
    """RegNet computes its widths with tensors, which shapes alone cannot."""
    def wrapped(*args, **kwargs):
        with torch.device("cpu"):
            return function(*args, **kwargs)
    return wrapped


def describe(name):
    cfg = timm.get_pretrained_cfg(name)
    classes = cfg.num_classes if cfg is not None else 1000
    with torch.device("meta"):
        model = timm.create_model(name, num_classes=classes).eval().requires_grad_(False)
        cfg = model.pretrained_cfg
        images = torch.empty((1, *cfg["input_size"]))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(images)
    return {
        "params": sum(p.numel() for p in model.parameters()),
        "macs": counter.get_total_flops() // 2,
        "input": list(cfg["input_size"]),
        "classes": classes,
        "pretrained_cfg": dict(cfg),
        "tensors": {k: list(v.shape) for k, v in model.state_dict().items() if v.is_floating_point()},
    }


def main(out, full=None):
    warnings.filterwarnings("ignore")
    set_fused_attn(False)  # whose matrix products the counter would not see on this device
    timm.models.regnet.generate_regnet = on_cpu(timm.models.regnet.generate_regnet)
    timm.models.regnet.RegNet._get_stage_args = on_cpu(timm.models.regnet.RegNet._get_stage_args)
    module_of = timm.models._registry._model_to_module
    everything = {}
    for name in sorted(timm.list_models()):
        if module_of[name] not in MODULES:
            continue
        try:
            everything[name] = {"family_module": module_of[name], **describe(name)}
        except Exception as error:  # what does not run on shapes alone is said, not counted
            print(f"{name}: {error!r}"[:200], file=sys.stderr)
    write_compact(out, everything)
    if full:
        with open(full, "w") as f:
            json.dump(everything, f)
    print(len(everything), "networks")


def write_compact(out, everything):
    statistics, rows = {}, {}
    for name, d in sorted(everything.items()):
        cfg = d["pretrained_cfg"]
        pair = (tuple(cfg["mean"]), tuple(cfg["std"]))
        key = statistics.setdefault(pair, chr(ord("a") + len(statistics)))
        rows[name] = [d["family_module"], d["params"], d["macs"], d["input"], d["classes"], key,
                      cfg["crop_pct"], cfg["interpolation"]]
    about = __doc__.split("\n\n")[2].replace("\n", " ").split(" FULL.json")[0]
    with open(out, "w") as f:
        f.write('{\n "about": ' + json.dumps(f"timm {timm.__version__}, by timm_counts.py. {about}") + ",\n")
        f.write(' "statistics": {\n')
        f.write(",\n".join(f'  "{key}": {json.dumps({"mean": mean, "std": std})}'
                           for (mean, std), key in statistics.items()))
        f.write('\n },\n "networks": {\n')
        f.write(",\n".join(f"  {json.dumps(name)}: {json.dumps(row)}" for name, row in rows.items()))
        f.write("\n }\n}\n")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    main(*sys.argv[1:])

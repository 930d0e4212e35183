#!/usr/bin/env python3
"""Adds networks to timm_logits.json: timm's logits with weights and images from a formula.

    timm_logits.py timm_logits.json [NAME[:SIZE[:GAIN]]...]
    timm_logits.py --sweep timm_sweep.json [NAME...]

Without names: those of NETWORKS that the file lacks; with --sweep, those of timm_counts.json below 150 million
parameters that it lacks, at timm's own size. The weights and images are those of tests/support/formula.h;
GAIN widens the matrices, so that the image's difference survives a deep network (a sweep chooses it).
"""
import json
import os
import sys
import warnings

import numpy as np
import timm
import torch

# One small network of each oddity, at a small size where the family allows it: (name, size, gain).
NETWORKS = [
    ("test_vit2", 160, 1), ("test_vit3", 160, 1), ("test_vit4", 160, 1),
    ("deit_tiny_distilled_patch16_224", 64, 1), ("deit3_small_patch16_224", 64, 1),
    ("vit_dwee_patch16_reg1_gap_256", 64, 1), ("vit_pwee_patch16_reg1_gap_256", 64, 1),
    ("vit_xsmall_patch16_clip_224", 64, 1),
    ("swin_tiny_patch4_window7_224", 100, 1),
    ("mixer_s32_224", 64, 1), ("gmixer_12_224", 64, 0.7), ("resmlp_12_224", 64, 1), ("gmlp_ti16_224", 64, 1),
    ("convnext_zepto_rms_ols", 64, 1), ("convnext_atto_ols", 64, 1), ("convnextv2_atto", 64, 1),
    ("test_convnext3", 64, 1),
    ("resnet14t", 64, 1), ("seresnext26d_32x4d", 64, 1.2), ("resnetv2_18", 64, 1.2),
    ("mobilenetv3_small_050", 64, 1.4), ("tf_efficientnetv2_b0", 64, 1.2),
    ("lcnet_050", 64, 1.6), ("fbnetv3_b", 64, 1.2), ("mobilenetv1_100", 64, 1.4), ("tinynet_e", 64, 1.6),
]


def uniform(name, count):
    h = 0xCBF29CE484222325
    for byte in name.encode():
        h = ((h ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    with np.errstate(over="ignore"):
        z = np.uint64(h) + np.arange(count, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return (z >> np.uint64(40)).astype(np.float64) / float(1 << 24)


def tensor(name, shape, gain):
    u = uniform(name, int(np.prod(shape)))
    leaf = name.rsplit(".", 1)[-1]
    if leaf == "running_var":
        v = 0.5 + u
    elif leaf == "running_mean":
        v = 0.2 * (u - 0.5)
    elif leaf == "weight" and len(shape) >= 2:
        v = (2 * u - 1) * gain * np.sqrt(3.0 / np.prod(shape[1:]))
    elif leaf == "weight" or any(w in leaf for w in ("gamma", "scale", "gain", "alpha", "lambda")):
        v = 0.75 + 0.5 * u
    elif leaf.endswith("bias"):
        v = 0.2 * (u - 0.5)
    else:
        v = 0.4 * (u - 0.5)
    return torch.from_numpy(v.astype(np.float32).reshape(shape))


def build(name, size):
    cfg = timm.get_pretrained_cfg(name)
    own = size == cfg.input_size[1]
    try:
        return timm.create_model(name, num_classes=cfg.num_classes, **({} if own else {"img_size": size}))
    except TypeError:  # takes any size
        return timm.create_model(name, num_classes=cfg.num_classes)


def logits(name, size, gain, model=None):
    model = model or build(name, size).eval()
    weights = {k: tensor(k, tuple(v.shape), gain) for k, v in model.state_dict().items()
               if v.is_floating_point()}
    model.load_state_dict(weights, strict=False)
    shape = (2, 3, size, size)
    images = (2 * uniform("input", int(np.prod(shape))) - 1).astype(np.float32).reshape(shape)
    with torch.no_grad():
        y = model(torch.from_numpy(images).to(next(model.parameters()).dtype))
    return {"name": name, "gain": float(gain), "input": list(shape), "scale": float(y.abs().max()),
            "logits": [[float(v) for v in row[:8]] for row in y]}


def chosen_gain(name, size):
    """The first of some gains at which both images can be told apart, else the one that tells most; and at
    which float32 says what float64 says: large weights make gates steps, and rounding decides."""
    model, tried = build(name, size).eval(), []
    for gain in (1, 1.2, 1.4, 1.6, 0.8, 0.6):
        entry = logits(name, size, gain, model)
        a, b = np.array(entry["logits"])
        contrast = abs(a - b).max() / entry["scale"]
        if not np.isfinite(contrast) or (tried and contrast < max(tried)[0]):
            continue
        exact = logits(name, size, gain, model.double())
        model.float()
        if abs(np.array(exact["logits"]) - np.array([a, b])).max() > 2e-5 * entry["scale"]:
            continue
        tried.append((contrast, gain, entry))
        if contrast > 0.01:
            break
    contrast, _, entry = max(tried)
    entry["logits"] = [[float(f"{v:.8g}") for v in row[:4]] for row in entry["logits"]]
    print(f"{name}: gain {entry['gain']}, scale {entry['scale']:.3g}, between images {contrast:.3g}", flush=True)
    return entry


def sweep(path, names):
    counts = os.path.join(os.path.dirname(os.path.abspath(__file__)), "timm_counts.json")
    with open(counts) as f:
        known = json.load(f)["networks"]
    about = "As timm_logits.json, at timm's own sizes: every name below 150 million parameters, and nine larger."
    golden = {"about": about, "networks": []}
    if os.path.exists(path):
        with open(path) as f:
            golden = json.load(f)
    have = {network["name"] for network in golden["networks"]}
    wanted = sorted((v[2], k) for k, v in known.items() if v[1] < 150_000_000 or k in names)
    for _, name in wanted:
        if name in have or (names and name not in names):
            continue
        golden["networks"].append(chosen_gain(name, known[name][3][1]))
        golden["networks"].sort(key=lambda network: network["name"])
        with open(path + ".part", "w") as f:
            rows = ",\n".join("  " + json.dumps(n, separators=(",", ":")) for n in golden["networks"])
            f.write('{\n "about": %s,\n "networks": [\n%s\n ]\n}\n' % (json.dumps(golden["about"]), rows))
        os.replace(path + ".part", path)


def main(path, names):
    warnings.filterwarnings("ignore")
    if path == "--sweep":
        return sweep(names[0], names[1:])
    with open(path) as f:
        golden = json.load(f)
    have = {network["name"]: i for i, network in enumerate(golden["networks"])}
    wanted = [n for n in NETWORKS if n[0] not in have]
    if names:
        split = [(n.split(":") + [None, None])[:3] for n in names]
        wanted = [(n, int(s or timm.get_pretrained_cfg(n).input_size[1]), float(g or 1)) for n, s, g in split]
    for name, size, gain in wanted:
        entry = logits(name, size, gain)
        a, b = np.array(entry["logits"])
        print(f"{name}: scale {entry['scale']:.3g}, between images {abs(a - b).max():.3g}", flush=True)
        if name in have:
            golden["networks"][have[name]] = entry
        else:
            golden["networks"].append(entry)
    with open(path, "w") as f:
        f.write('{\n "about": ' + json.dumps(golden["about"]) + ',\n "networks": [\n')
        f.write(",\n".join(layout(network) for network in golden["networks"]) + "\n ]\n}\n")


def layout(network):
    """One line a value and an image: a new network changes no other's lines."""
    lines = [f'   "{key}": {json.dumps(network[key])}' for key in ("name", "gain", "input", "scale")]
    rows = ",\n".join("    " + json.dumps(row) for row in network["logits"])
    return "  {\n" + ",\n".join(lines) + f',\n   "logits": [\n{rows}\n   ]\n  }}'


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2:])

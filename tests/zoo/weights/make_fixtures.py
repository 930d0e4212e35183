"""Writes data/: checkpoints by PyTorch 2.x and NumPy, for tests/zoo/weights/foreign.cpp.

    python make_fixtures.py        needs torch, numpy
"""
import collections
import os

import numpy as np
import torch

folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data")
os.makedirs(folder, exist_ok=True)

grid = torch.arange(24.0).reshape(4, 6)
tensors = collections.OrderedDict()
tensors["a.weight"] = grid
tensors["a.view"] = grid[1:3, ::2]
tensors["a.transposed"] = grid.t()
tensors["b.f16"] = torch.tensor([0.5, -1.0, 65504.0]).half()
tensors["b.bf16"] = torch.tensor([0.5, -1.0, 3.0]).bfloat16()
tensors["b.f64"] = torch.arange(3.0).double()
tensors["b.i8"] = torch.tensor([-1, 2], dtype=torch.int8)
tensors["b.i64"] = torch.tensor(7)
tensors["b.u16"] = torch.tensor([65535], dtype=torch.uint16)
tensors["b.bool"] = torch.tensor([True, False])
tensors["c.parameter"] = torch.nn.Parameter(torch.ones(2, 3))
tensors["c.expanded"] = torch.ones(1).expand(3)
tensors["c.channels_last"] = torch.arange(16.0).reshape(1, 2, 2, 4).to(memory_format=torch.channels_last)
tensors["c.empty"] = torch.zeros(0, 3)
tensors["c.num_batches_tracked"] = torch.tensor(3)
wrapped = {
    "epoch": 3,
    "best": np.float64(0.5),
    "state_dict": {"module." + name: tensor for name, tensor in tensors.items()},
    "optimizer": {
        "state": {0: {"exp_avg": torch.ones(3)}},
        "param_groups": [{"lr": 0.1, "betas": (0.9, 0.999), "params": [0, 1], "seed": 2**80}],
    },
}
for name, value, protocol, zipped in (
    ("plain_2.zip.pth", tensors, 2, True),
    ("wrapped_2.zip.pth", wrapped, 2, True),
    ("wrapped_5.zip.pth", wrapped, 5, True),
    ("plain_2.legacy.pth", tensors, 2, False),
    ("wrapped_1.legacy.pth", wrapped, 1, False),
    ("wrapped_4.legacy.pth", wrapped, 4, False),
):
    torch.save(value, os.path.join(folder, name), pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)

arrays = {
    "head/kernel": np.arange(6, dtype=np.float32).reshape(2, 3),
    "fortran": np.asfortranarray(np.arange(6, dtype=np.float64).reshape(2, 3)),
    "half": np.array([0.5, -1.0], dtype=np.float16),
    "zeros": np.zeros((100, 100), dtype=np.float32),
}
np.savez(os.path.join(folder, "stored.npz"), **{k: v for k, v in arrays.items() if k != "zeros"})
np.savez_compressed(os.path.join(folder, "packed.npz"), **arrays)


class Block(torch.nn.Module):
    """Convolutions with and without a norm, lists in lists, a norm over channels, linear layers."""

    def __init__(self):
        super().__init__()
        self.stem = torch.nn.Conv2d(3, 4, 3, bias=False)
        self.bn = torch.nn.BatchNorm2d(4)
        self.layers = torch.nn.Sequential(torch.nn.Sequential(torch.nn.Conv2d(4, 4, 1, bias=True), torch.nn.ReLU()))
        self.norm = torch.nn.LayerNorm(4)
        self.norm2 = torch.nn.LayerNorm(4)  # the same values: the exporter stores them once
        self.mix = torch.nn.Linear(4, 5)
        self.head = torch.nn.Linear(5, 2)
        self.gamma = torch.nn.Parameter(torch.arange(1.0, 5.0))

    def forward(self, x):
        x = self.layers(self.bn(self.stem(x)))
        x = x.flatten(2).transpose(1, 2) * self.gamma
        return self.head(self.mix(self.norm2(self.norm(x))).mean(1))


torch.manual_seed(0)
model = Block().eval()
with torch.no_grad():
    for index, parameter in enumerate(model.parameters()):
        if parameter.ndim > 1:
            parameter.copy_(torch.arange(parameter.numel()).reshape(parameter.shape) + 100.0 * index)
    model.bn.running_var.fill_(4 - model.bn.eps)  # so that a folded kernel is the half, a bias -1/2
    model.bn.running_mean.fill_(1)
torch.onnx.export(
    model, torch.zeros(1, 3, 5, 5), os.path.join(folder, "block.onnx"), dynamo=False, opset_version=17
)
torch.save(model.state_dict(), os.path.join(folder, "block.pth"))

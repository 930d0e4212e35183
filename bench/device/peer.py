"""The same kernels and networks in PyTorch, for kintsugi-bench-device's figures to stand beside.

    python peer.py [--quick] [--counts]

Prints one JSON object a line, as kintsugi-bench-device does. Networks are written out here, from their
papers, so that a machine with PyTorch alone will do; --counts prints their parameters and ends (timm
1.0.29: resnet50 25557032, vit_small_patch16_224 22050664, convnext_tiny 28589128, caformer_s18 26341656).
"""
import argparse
import json
import statistics
import sys
import time

try:
    import torch
    from torch import nn
    from torch.nn import functional as F
except ModuleNotFoundError:
    print("skipped: no PyTorch")
    sys.exit(77)


class Residual(nn.Module):
    def __init__(self, body, shortcut=None, last=None):
        super().__init__()
        self.body, self.shortcut, self.last = body, shortcut or nn.Identity(), last or nn.Identity()

    def forward(self, x):
        return self.last(self.body(x) + self.shortcut(x))


def conv_bn(inputs, outputs, kernel, stride=1, relu=True):
    layers = [nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(outputs)]
    return nn.Sequential(*layers, *([nn.ReLU()] if relu else []))


def resnet50():
    layers, inputs = [conv_bn(3, 64, 7, 2), nn.MaxPool2d(3, 2, 1)], 64
    for width, count, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for i in range(count):
            s = stride if i == 0 else 1
            body = nn.Sequential(conv_bn(inputs, width, 1), conv_bn(width, width, 3, s),
                                 conv_bn(width, 4 * width, 1, relu=False))
            shortcut = conv_bn(inputs, 4 * width, 1, s, relu=False) if i == 0 else None
            layers.append(Residual(body, shortcut, nn.ReLU()))
            inputs = 4 * width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 1000))


class Attention(nn.Module):
    """Over (..., N, C); grids are flattened, as caformer has them channels last."""

    def __init__(self, width, head, bias):
        super().__init__()
        self.head, self.qkv, self.proj = head, nn.Linear(width, 3 * width, bias), nn.Linear(width, width, bias)

    def forward(self, x):
        tokens = x.flatten(1, -2)
        n, t, c = tokens.shape
        q, k, v = self.qkv(tokens).view(n, t, 3, c // self.head, self.head).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v)
        return self.proj(y.transpose(1, 2).reshape(n, t, c)).view(x.shape)


def mlp(width, act, bias=True):
    return nn.Sequential(nn.Linear(width, 4 * width, bias), act, nn.Linear(4 * width, width, bias))


class Vit(nn.Module):
    def __init__(self, width=384, depth=12):
        super().__init__()
        self.patch = nn.Conv2d(3, width, 16, 16)
        self.cls, self.pos = nn.Parameter(torch.zeros(1, 1, width)), nn.Parameter(torch.zeros(1, 197, width))
        blocks = []
        for _ in range(depth):
            blocks.append(Residual(nn.Sequential(nn.LayerNorm(width, 1e-6), Attention(width, 64, True))))
            blocks.append(Residual(nn.Sequential(nn.LayerNorm(width, 1e-6), mlp(width, nn.GELU()))))
        self.blocks, self.norm, self.fc = nn.Sequential(*blocks), nn.LayerNorm(width, 1e-6), nn.Linear(width, 1000)

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls.expand(len(x), -1, -1), x], 1) + self.pos
        return self.fc(self.norm(self.blocks(x))[:, 0])


class ChannelsLast(nn.Module):
    """Runs a body written for (N,H,W,C) on (N,C,H,W)."""

    def __init__(self, body):
        super().__init__()
        self.body = body

    def forward(self, x):
        return self.body(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Scale(nn.Module):
    def __init__(self, width, value):
        super().__init__()
        self.gamma = nn.Parameter(torch.full((width,), value))

    def forward(self, x):
        return x * self.gamma


def convnext_tiny():
    layers, inputs = [nn.Conv2d(3, 96, 4, 4), ChannelsLast(nn.LayerNorm(96, 1e-6))], 96
    for i, (width, count) in enumerate(((96, 3), (192, 3), (384, 9), (768, 3))):
        if i:
            layers += [ChannelsLast(nn.LayerNorm(inputs, 1e-6)), nn.Conv2d(inputs, width, 2, 2)]
        for _ in range(count):
            tail = nn.Sequential(nn.LayerNorm(width, 1e-6), mlp(width, nn.GELU()), Scale(width, 1e-6))
            layers.append(Residual(nn.Sequential(nn.Conv2d(width, width, 7, 1, 3, groups=width), ChannelsLast(tail))))
        inputs = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LayerNorm(768, 1e-6), nn.Linear(768, 1000))


class StarRelu(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale, self.bias = nn.Parameter(torch.ones(1)), nn.Parameter(torch.zeros(1))

    def forward(self, x):
        return self.scale * F.relu(x) ** 2 + self.bias


class PlainNorm(nn.Module):
    """LayerNorm without bias over the last dimension."""

    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x):
        return F.layer_norm(x, self.weight.shape, self.weight, None, 1e-6)


class SepConv(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.into, self.act = nn.Linear(width, 2 * width, False), StarRelu()
        self.depthwise = nn.Conv2d(2 * width, 2 * width, 7, 1, 3, groups=2 * width, bias=False)
        self.out = nn.Linear(2 * width, width, False)

    def forward(self, x):
        x = self.act(self.into(x)).permute(0, 3, 1, 2)
        return self.out(self.depthwise(x).permute(0, 2, 3, 1))


class Caformer(nn.Module):
    def __init__(self, widths=(64, 128, 320, 512), depths=(3, 3, 9, 3)):
        super().__init__()
        layers, inputs = [], 3
        for i, (width, depth) in enumerate(zip(widths, depths)):
            if i:
                layers.append(PlainNorm(inputs))
            down = nn.Conv2d(inputs, width, 3 if i else 7, 2 if i else 4, 1 if i else 2)
            layers += [Grid(down)] + ([] if i else [PlainNorm(width)])
            for _ in range(depth):
                mixer = SepConv(width) if i < 2 else Attention(width, 32, False)
                for body in (mixer, mlp(width, StarRelu(), False)):
                    shortcut = Scale(width, 1.0) if i >= 2 else None
                    layers.append(Residual(nn.Sequential(PlainNorm(width), body), shortcut))
            inputs = width
        self.body, self.norm = nn.Sequential(*layers), nn.LayerNorm(inputs, 1e-6)
        self.fc1, self.norm2, self.fc2 = nn.Linear(inputs, 4 * inputs), nn.LayerNorm(4 * inputs), nn.Linear(4 * inputs, 1000)

    def forward(self, x):
        x = self.norm(self.body(x.permute(0, 2, 3, 1)).mean((1, 2)))
        return self.fc2(self.norm2(F.relu(self.fc1(x)) ** 2))


class Grid(nn.Module):
    """A convolution on (N,H,W,C)."""

    def __init__(self, conv):
        super().__init__()
        self.conv = conv

    def forward(self, x):
        return self.conv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


NETWORKS = {"resnet50": resnet50, "vit_small_patch16_224": Vit, "convnext_tiny": convnext_tiny,
            "caformer_s18": Caformer}


def seconds_of(run, least=0.02):
    def timed(count):
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(count):
            run()
        torch.cuda.synchronize()
        return time.perf_counter() - start

    timed(2)
    count = max(1, int(least / timed(1)))
    return statistics.median(timed(count) / count for _ in range(3))


def allow_tf32(math):
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = math != "f32"


failures = []


def guarded(name, work, *arguments):
    """What fails is a row, and the next goes on."""
    try:
        work(*arguments)
    except RuntimeError as error:
        said = f"PyTorch, {name} {arguments[-2:]}: {str(error).split(chr(10))[0]}"
        print(json.dumps({"error": said}), flush=True)
        failures.append(said)
    torch.cuda.empty_cache()


def product(name, batch, math, macs, run):
    allow_tf32(math)
    print(json.dumps({"kind": "product", "name": name, "batch": batch, "math": math,
                      "tflop_s": round(2e-12 * macs / seconds_of(run), 2)}), flush=True)


def storage_of(math):
    return torch.bfloat16 if math == "bf16" else torch.float32


def convolutions(batch, math):
    last = {"device": "cuda", "dtype": storage_of(math)}
    for channels, size, outputs, kernel, stride in (
            (3, 224, 64, 7, 2), (64, 56, 64, 3, 1), (128, 28, 128, 3, 1), (256, 14, 256, 3, 1), (512, 7, 512, 3, 1),
            (256, 56, 512, 1, 2), (256, 56, 64, 1, 1), (512, 7, 2048, 1, 1), (96, 56, 192, 2, 2)):
        x = torch.rand(batch, channels, size, size, **last).to(memory_format=torch.channels_last)
        w = torch.rand(outputs, channels, kernel, kernel, **last).to(memory_format=torch.channels_last)
        padding = kernel // 2 if kernel > 2 else 0
        y = F.conv2d(x, w, None, stride, padding)

        def backward(of_input, of_weight):
            return torch.ops.aten.convolution_backward(y, x, w, None, [stride] * 2, [padding] * 2, [1, 1], False,
                                                       [0, 0], 1, [of_input, of_weight, False])

        name, macs = f"conv {kernel}x{kernel}/{stride} {channels}-{outputs} at {size}", y.numel() * w.numel() / outputs
        product(name, batch, math, macs, lambda: F.conv2d(x, w, None, stride, padding))
        product(name + ", backward input", batch, math, macs, lambda: backward(True, False))
        product(name + ", backward weight", batch, math, macs, lambda: backward(False, True))


def attentions(batch, math):
    for tokens in (197, 1024):
        q, k, v = (torch.rand(batch, 6, tokens, 64, device="cuda", dtype=storage_of(math), requires_grad=True)
                   for _ in range(3))
        y = F.scaled_dot_product_attention(q, k, v)
        dy, name, macs = torch.rand_like(y), f"attention {tokens} x 64", batch * 6 * tokens * tokens * 64
        with torch.no_grad():
            product(name, batch, math, 2 * macs, lambda: F.scaled_dot_product_attention(q, k, v))
        product(name + ", backward", batch, math, 5 * macs,
                lambda: torch.autograd.grad(y, (q, k, v), dy, retain_graph=True))


def network(name, batch, math):
    allow_tf32(math)
    cast = torch.autocast("cuda", torch.bfloat16, enabled=math == "bf16")
    net = NETWORKS[name]().cuda().to(memory_format=torch.channels_last)
    images = torch.rand(batch, 3, 224, 224, device="cuda").to(memory_format=torch.channels_last)
    labels = torch.arange(batch, device="cuda") * 7 % 1000

    def row(what, seconds):
        print(json.dumps({"kind": "network", "name": name, "batch": batch, "what": what, "math": math,
                          "ms": round(1e3 * seconds, 3), "images_s": round(batch / seconds, 1)}), flush=True)

    net.eval()
    with torch.no_grad(), cast:
        row("inference", seconds_of(lambda: net(images)))
    net.train()
    optimizer = torch.optim.AdamW(net.parameters(), 1e-4, fused=True)

    def step():
        with cast:
            loss = F.cross_entropy(net(images), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        loss.item()

    row("training", seconds_of(step, 0.1))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--counts", action="store_true")
    options = parser.parse_args()
    if options.counts:
        for name, build in NETWORKS.items():
            net = build()
            assert net(torch.rand(1, 3, 224, 224)).shape == (1, 1000)
            print(name, sum(p.numel() for p in net.parameters()))
        return
    print(json.dumps({"kind": "peer", "torch": torch.__version__, "cuda": torch.version.cuda,
                      "cudnn": torch.backends.cudnn.version(), "device": torch.cuda.get_device_name()}),
          flush=True)
    x = torch.rand(1 << (20 if options.quick else 28), device="cuda")
    y = torch.empty_like(x)
    print(json.dumps({"kind": "kernel", "name": "copy",
                      "gb_s": round(2 * x.numel() * 4 / seconds_of(lambda: y.copy_(x)) * 1e-9, 1)}), flush=True)
    n = 256 if options.quick else 8192
    for math in ("f32", "tf32", "bf16"):
        a = torch.rand(n, n, device="cuda", dtype=storage_of(math))
        product("square", n, math, n**3, lambda: a @ a)  # noqa: B023
    del x, y, a
    batches = (2,) if options.quick else (1, 64, 256)
    for math in ("tf32", "bf16"):
        for batch in batches:
            guarded("convolutions", convolutions, batch, math)
        for batch in batches:
            guarded("attention", attentions, batch, math)
    for batch in batches:
        for name in NETWORKS:
            for math in ("f32", "tf32", "bf16"):
                guarded(name, network, name, batch, math)


if __name__ == "__main__":
    main()
    sys.exit(1 if failures else 0)

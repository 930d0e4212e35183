// Convolutions beside oneDNN alone (its primitives on the same channels-last data, its weights
// prepared), in turns in one run: ResNet-50's, then depthwise and grouped ones.
#include "kintsugi/engine/ops/conv.h"

#include <cmath>
#include <iomanip>

#include "bench/bench.h"
#include "bench/peers/onednn.h"
#include "kintsugi/engine/core/context.h"
#include "kintsugi/engine/core/random.h"

namespace kintsugi::bench {

namespace {

struct Layer {
  int64_t channels, size, outputs, kernel, stride, groups;
  int64_t times;  // that a network has it
};

// He et al. 2016, at 224 x 224.
constexpr Layer kResNet50[] = {
    {3, 224, 64, 7, 2, 1, 1},    {64, 56, 64, 1, 1, 1, 1},    {256, 56, 64, 1, 1, 1, 2},
    {64, 56, 64, 3, 1, 1, 3},    {64, 56, 256, 1, 1, 1, 4},   {256, 56, 128, 1, 1, 1, 1},
    {128, 56, 128, 3, 2, 1, 1},  {128, 28, 512, 1, 1, 1, 4},  {256, 56, 512, 1, 2, 1, 1},
    {512, 28, 128, 1, 1, 1, 3},  {128, 28, 128, 3, 1, 1, 3},  {512, 28, 256, 1, 1, 1, 1},
    {256, 28, 256, 3, 2, 1, 1},  {256, 14, 1024, 1, 1, 1, 6}, {512, 28, 1024, 1, 2, 1, 1},
    {1024, 14, 256, 1, 1, 1, 5}, {256, 14, 256, 3, 1, 1, 5},  {1024, 14, 512, 1, 1, 1, 1},
    {512, 14, 512, 3, 2, 1, 1},  {512, 7, 2048, 1, 1, 1, 3},  {1024, 14, 2048, 1, 2, 1, 1},
    {2048, 7, 512, 1, 1, 1, 2},  {512, 7, 512, 3, 1, 1, 2},
};
// ConvNeXt-T and ConvFormer (7x7), MobileNetV2 and EfficientNet (3x3, 5x5).
constexpr Layer kDepthwise[] = {
    {96, 56, 96, 7, 1, 96, 1},    {192, 28, 192, 7, 1, 192, 1}, {384, 14, 384, 7, 1, 384, 1},
    {768, 7, 768, 7, 1, 768, 1},  {144, 56, 144, 3, 1, 144, 1}, {384, 14, 384, 3, 1, 384, 1},
    {144, 56, 144, 3, 2, 144, 1}, {240, 28, 240, 5, 1, 240, 1}, {240, 28, 240, 5, 2, 240, 1},
};
// ResNeXt-50 32x4d and RegNetY.
constexpr Layer kGrouped[] = {
    {128, 56, 128, 3, 1, 32, 1}, {256, 28, 256, 3, 1, 32, 1}, {512, 14, 512, 3, 1, 32, 1},
    {48, 56, 48, 3, 1, 6, 1},    {104, 28, 104, 3, 1, 13, 1}, {144, 28, 144, 3, 1, 6, 1},
};

Tensor random(const Shape& shape, uint64_t seed, MemoryFormat format = MemoryFormat::kRowMajor) {
  Tensor x = Tensor::empty(shape, DType::kF32, kCpu, format);
  Generator(seed).uniform(x, -1, 1);
  return x;
}

void verify(const char* what, const Tensor& got, const Tensor& want) {
  const auto a = got.to_vector<float>(), b = want.to_vector<float>();
  double error = 0, scale = 1;
  for (size_t i = 0; i < a.size(); ++i) {
    error = std::max(error, std::abs(double(a[i]) - double(b[i])));
    scale = std::max(scale, std::abs(double(b[i])));
  }
  if (!(error <= 1e-5 * scale)) {
    fail(ErrorKind::kNumeric, "bench conv: ", what, " differs from oneDNN's by ", error / scale);
  }
}

// Sums over layers, for the three directions.
struct Totals {
  double flops = 0;
  double ours[3] = {}, theirs[3] = {};
};

void measure(const Layer& layer, int64_t batch, const BenchOptions& options, Totals& totals) {
  const ops::Conv2dParams params =
      ops::Conv2dParams::same(layer.stride, layer.kernel == 1 ? 0 : layer.kernel / 2, layer.groups);
  const Tensor x =
      random({batch, layer.channels, layer.size, layer.size}, 1, MemoryFormat::kChannelsLast);
  const Tensor weight =
      random({layer.outputs, layer.channels / layer.groups, layer.kernel, layer.kernel}, 2);
  const Shape y_shape = params.output_shape(x.shape(), weight.shape());
  const Tensor dy = random(y_shape, 3, MemoryFormat::kChannelsLast);
  Tensor y, dx, dweight;
  const std::function<void()> ours[3] = {
      [&] { y = ops::conv2d(x, weight, Tensor(), params); },
      [&] { dx = ops::conv2d_backward_input(dy, weight, x.shape(), params); },
      [&] { dweight = ops::conv2d_backward_weight(x, dy, weight.shape(), false, params).dweight; }};
  const double times = double(layer.times);
  totals.flops += times * 2 * double(y_shape.numel()) * double(weight.numel() / layer.outputs);
  if (!OnednnConv::built_in()) {
    for (int i = 0; i < 3; ++i)
      totals.ours[i] += times * best_of(options.min_seconds, {ours[i]})[0];
    return;
  }
  OnednnConv peer(x, weight, dy, params, Context::current().threads());
  const std::function<void()> theirs[3] = {[&] { peer.forward(); }, [&] { peer.backward_input(); },
                                           [&] { peer.backward_weight(); }};
  for (int i = 0; i < 3; ++i) {
    const auto seconds = best_of(options.min_seconds, {ours[i], theirs[i]});
    totals.ours[i] += times * seconds[0];
    totals.theirs[i] += times * seconds[1];
  }
  verify("the forward", y, peer.y());
  verify("the input's gradient", dx, peer.dx());
  verify("the weight's gradient", dweight, peer.dweight().view(weight.shape()));
}

void print(std::ostream& out, const std::string& name, const Totals& totals) {
  constexpr const char* kDirections[] = {"forward", "backward input", "backward weight"};
  for (int i = 0; i < 3; ++i) {
    out << std::left << std::setw(42) << name << std::setw(16) << kDirections[i] << std::right
        << std::fixed << std::setprecision(1) << std::setw(8)
        << totals.flops * 1e-9 / totals.ours[i] << " GFLOP/s";
    if (totals.theirs[i] > 0) {
      out << "   oneDNN alone " << std::setw(8) << totals.flops * 1e-9 / totals.theirs[i]
          << "   ratio " << std::setprecision(3) << totals.theirs[i] / totals.ours[i];
    }
    out << std::endl;
  }
}

}  // namespace

void bench_conv(std::ostream& out, const BenchOptions& options) {
  Context& context = Context::current();
  const int before = context.threads();
  if (options.threads > 0) context.set_threads(options.threads);
  const auto wanted = [&](const std::string& name) {
    return name.find(options.filter) != std::string::npos;
  };
  for (const int64_t batch : {1, 16}) {
    const std::string name = "conv resnet50 batch " + std::to_string(batch);
    if (!wanted(name)) continue;
    Totals totals;
    for (const Layer& layer : kResNet50) measure(layer, batch, options, totals);
    print(out, name, totals);
  }
  const auto each = [&](const char* kind, const auto& layers) {
    for (const Layer& layer : layers) {
      std::ostringstream name;
      name << "conv " << kind << ' ' << layer.kernel << 'x' << layer.kernel << " s" << layer.stride
           << " g" << layer.groups << ' ' << layer.channels << 'x' << layer.size << 'x'
           << layer.size << " batch 16";
      if (!wanted(name.str())) continue;
      Totals totals;
      measure(layer, 16, options, totals);
      print(out, name.str(), totals);
    }
  };
  each("depthwise", kDepthwise);
  each("grouped", kGrouped);
  context.set_threads(before);
}

}  // namespace kintsugi::bench

// Times on a CUDA device, one JSON object a line: kernels that memory bounds, in GB/s of what they
// must read and write; products, convolutions and attention, in TFLOP/s; and whole networks,
// inference and training. `kintsugi-bench-device --quick` takes small sizes, to see that it runs.
#include <chrono>
#include <cstdio>
#include <cstring>
#include <functional>
#include <iostream>

#include "kintsugi/autograd/ops/loss.h"
#include "kintsugi/autograd/optim/adamw.h"
#include "kintsugi/engine/core/context.h"
#include "kintsugi/engine/cuda/allocator.h"
#include "kintsugi/engine/ops/attention.h"
#include "kintsugi/engine/ops/conv.h"
#include "kintsugi/engine/ops/elementwise.h"
#include "kintsugi/engine/ops/layout.h"
#include "kintsugi/engine/ops/matmul.h"
#include "kintsugi/engine/ops/norm.h"
#include "kintsugi/engine/ops/optimize.h"
#include "kintsugi/engine/ops/pool.h"
#include "kintsugi/engine/ops/reduce.h"
#include "kintsugi/engine/ops/softmax.h"
#include "kintsugi/engine/program/replay.h"
#include "kintsugi/nn/fold.h"
#include "kintsugi/nn/train/replayed_step.h"
#include "kintsugi/zoo/catalog.h"

using namespace kintsugi;

namespace {

constexpr Device kDevice{DeviceType::kCuda, 0};
constexpr const char* kMathNames[] = {"f32", "tf32", "bf16"};

bool all_well = true;

void complain(const std::string& what) {
  std::printf("{\"error\": \"%s\"}\n", what.c_str());
  std::fflush(stdout);
  all_well = false;
}

// What fails is a row, and the next goes on.
void guarded(const std::string& name, const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    complain(name + ": " + error.what());
  }
}

// Seconds of one run: the median of three turns, each long enough for the clock.
double seconds_of(const std::function<void()>& run, double least = 0.02) {
  using Clock = std::chrono::steady_clock;
  const auto time = [&](int64_t count) {
    synchronize(kDevice);
    const auto start = Clock::now();
    for (int64_t i = 0; i < count; ++i) run();
    synchronize(kDevice);
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
  time(2);
  const double once = time(1);
  const int64_t count = std::max<int64_t>(1, int64_t(least / once));
  std::vector<double> turns;
  for (int turn = 0; turn < 3; ++turn) turns.push_back(time(count) / double(count));
  std::sort(turns.begin(), turns.end());
  return turns[1];
}

Tensor random(const Shape& shape, DType dtype = DType::kF32,
              MemoryFormat format = MemoryFormat::kRowMajor) {
  Tensor x = Tensor::empty(shape, DType::kF32, kCpu, format);
  Generator(1).uniform(x, -1, 1);
  return x.to(kDevice).to(dtype);
}
Tensor random_grid(const Shape& shape, DType dtype) {
  return random(shape, dtype, MemoryFormat::kChannelsLast);
}

// Where activations lie in memory as bf16, products are bf16's.
DType storage_of(Math math) {
  return math == Math::kBF16 ? DType::kBF16 : DType::kF32;
}

// Bytes counted: each tensor once a read and once a write, parameters and statistics left out.
void kernels(bool quick, DType dtype) {
  const auto kernel = [&](const char* name, double bytes, const std::function<void()>& run) {
    guarded(name, [&] {
      const double seconds = seconds_of(run);
      std::printf(
          "{\"kind\": \"kernel\", \"name\": \"%s\", \"storage\": \"%s\", \"gb_s\": %.1f, "
          "\"us\": %.1f}\n",
          name, name_of(dtype).data(), bytes / seconds * 1e-9, seconds * 1e6);
      std::fflush(stdout);
    });
  };
  const int64_t images = quick ? 2 : 64;
  const Tensor x = random_grid({images, 256, 56, 56}, dtype);
  const Tensor y = random_grid({images, 256, 56, 56}, dtype);
  const double size = double(x.bytes());
  const Tensor w = random({256}), b = random({256});
  Tensor into = Tensor::empty_like(x);
  kernel("copy", 2 * size, [&] { into.copy_from(x); });
  kernel("add", 3 * size, [&] { ops::add(x, y); });
  kernel("add a channel", 2 * size, [&] { ops::add(x, b.view({256, 1, 1})); });
  kernel("relu", 2 * size, [&] { ops::unary(ops::Unary::kRelu, x); });
  kernel("gelu", 2 * size, [&] { ops::unary(ops::Unary::kGelu, x); });
  kernel("gelu backward", 3 * size, [&] { ops::unary_backward(ops::Unary::kGelu, x, x, y); });
  kernel("to row major", 2 * size, [&] { x.contiguous(); });
  kernel("sum over pixels", size, [&] { ops::reduce(ops::Reduce::kSum, x, {2, 3}); });
  kernel("sum over all but channels", size, [&] { ops::reduce(ops::Reduce::kSum, x, {0, 2, 3}); });
  const Tensor mean = random({256}), variance = Tensor::full({256}, 1, DType::kF32, kDevice);
  kernel("batch_norm eval", 2 * size, [&] { ops::batch_norm_eval(x, w, b, mean, variance, 1e-5); });
  const auto bn = ops::batch_norm_train(x, w, b, {}, {}, 0.1, 1e-5);
  kernel("batch_norm train", 3 * size, [&] { ops::batch_norm_train(x, w, b, {}, {}, 0.1, 1e-5); });
  kernel("batch_norm train backward", 5 * size,
         [&] { ops::batch_norm_train_backward(x, w, bn.mean, bn.rstd, y, true); });
  kernel("layer_norm", 2 * size, [&] { ops::layer_norm(x, w, b, 1e-6, 1); });
  const auto ln = ops::layer_norm(x, w, b, 1e-6, 1);
  kernel("layer_norm backward", 3 * size,
         [&] { ops::layer_norm_backward(x, w, ln.mean, ln.rstd, y, true, 1); });
  const Tensor rows = random({images * 1024, 784}, dtype);
  kernel("softmax", 2 * double(rows.bytes()), [&] { ops::softmax(rows, 1); });
  kernel("softmax backward", 3 * double(rows.bytes()),
         [&] { ops::softmax_backward(rows, rows, 1); });
  kernel("max_pool2d 3x3 stride 2", size + 0.25 * size + double(x.numel()),
         [&] { ops::max_pool2d(x, ops::Pool2dParams::square(3, 2, 1)); });
  const auto depthwise = ops::Conv2dParams::same(1, 3, 256);
  const Tensor taps = random({256, 1, 7, 7});
  kernel("depthwise 7x7", 2 * size, [&] { ops::conv2d(x, taps, {}, depthwise); });
  kernel("depthwise 7x7 backward input", 2 * size,
         [&] { ops::conv2d_backward_input(x, taps, x.shape(), depthwise); });
  kernel("depthwise 7x7 backward weight", 2 * size,
         [&] { ops::conv2d_backward_weight(x, y, taps.shape(), false, depthwise); });
  if (dtype != DType::kF32) return;
  Tensor p = random({images << 18}), m = Tensor::zeros(p.shape(), DType::kF32, kDevice);
  Tensor v = Tensor::zeros(p.shape(), DType::kF32, kDevice);
  const Tensor g = random(p.shape());
  kernel("adamw", 7 * double(p.bytes()), [&] {
    ops::adamw_step(p, g, m, v, {1e-3, 0.9, 0.999, 1e-8, 0.05, 10});
  });
}

void product(const char* name, int64_t batch, Math math, double macs,
             const std::function<void()>& run) {
  guarded(name, [&] {
    const double seconds = seconds_of(run);
    std::printf(
        "{\"kind\": \"product\", \"name\": \"%s\", \"batch\": %ld, \"math\": \"%s\", "
        "\"tflop_s\": %.2f}\n",
        name, long(batch), kMathNames[int(math)], 2e-12 * macs / seconds);
    std::fflush(stdout);
  });
}

void square(Math math, int64_t n) {
  ScopedSet mode(Context::current().math, math);
  const Tensor a = random({n, n}, storage_of(math)), b = random({n, n}, storage_of(math));
  product("square", n, math, double(n) * double(n) * double(n), [&] { ops::matmul(a, b); });
}

// The convolutions of resnet50 and convnext_tiny that are no matrix product, and two that are.
void convolutions(bool quick, Math math) {
  struct Layer {
    int64_t channels, size, outputs, kernel, stride;
  };
  const Layer kLayers[] = {{3, 224, 64, 7, 2},   {64, 56, 64, 3, 1},   {128, 28, 128, 3, 1},
                           {256, 14, 256, 3, 1}, {512, 7, 512, 3, 1},  {256, 56, 512, 1, 2},
                           {256, 56, 64, 1, 1},  {512, 7, 2048, 1, 1}, {96, 56, 192, 2, 2}};
  ScopedSet mode(Context::current().math, math);
  for (const int64_t batch : quick ? std::vector<int64_t>{2} : std::vector<int64_t>{1, 64, 256}) {
    for (const Layer& layer : kLayers) {
      const auto params =
          ops::Conv2dParams::same(layer.stride, layer.kernel > 2 ? layer.kernel / 2 : 0, 1);
      const Tensor x =
          random_grid({batch, layer.channels, layer.size, layer.size}, storage_of(math));
      const Tensor w = random({layer.outputs, layer.channels, layer.kernel, layer.kernel});
      const Tensor y = ops::conv2d(x, w, {}, params);
      const double macs = double(y.numel() * w.numel() / layer.outputs);
      const std::string name = "conv " + std::to_string(layer.kernel) + "x" +
                               std::to_string(layer.kernel) + "/" + std::to_string(layer.stride) +
                               " " + std::to_string(layer.channels) + "-" +
                               std::to_string(layer.outputs) + " at " + std::to_string(layer.size);
      product(name.c_str(), batch, math, macs, [&] { ops::conv2d(x, w, {}, params); });
      product((name + ", backward input").c_str(), batch, math, macs,
              [&] { ops::conv2d_backward_input(y, w, x.shape(), params); });
      product((name + ", backward weight").c_str(), batch, math, macs,
              [&] { ops::conv2d_backward_weight(x, y, w.shape(), false, params); });
    }
  }
}

// vit_small's heads; operations as of both products of the forward, and of the backward's five.
void attentions(bool quick, Math math) {
  ScopedSet mode(Context::current().math, math);
  for (const int64_t batch : quick ? std::vector<int64_t>{2} : std::vector<int64_t>{1, 64, 256}) {
    for (const int64_t tokens : {197, 1024}) {
      const Shape shape{batch, 6, tokens, 64};
      const Tensor q = random(shape, storage_of(math)), k = random(shape, storage_of(math));
      const Tensor v = random(shape, storage_of(math));
      const double macs = double(batch * 6 * tokens * tokens * 64);
      const std::string name = "attention " + std::to_string(tokens) + " x 64";
      const ops::Attention y = ops::attention(q, k, v, {}, 0.125);
      product(name.c_str(), batch, math, 2 * macs, [&] { ops::attention(q, k, v, {}, 0.125); });
      product((name + ", backward").c_str(), batch, math, 5 * macs,
              [&] { ops::attention_backward(q, k, v, {}, 0.125, y, v, false); });
    }
  }
}

void row(const std::string& name, int64_t batch, const char* what, Math math, double seconds) {
  std::printf(
      "{\"kind\": \"network\", \"name\": \"%s\", \"batch\": %ld, \"what\": \"%s\", "
      "\"math\": \"%s\", \"ms\": %.3f, \"images_s\": %.1f, \"peak_mib\": %.0f}\n",
      name.c_str(), long(batch), what, kMathNames[int(math)], 1e3 * seconds,
      double(batch) / seconds, double(cuda::current_pool(0)->stats().peak) / (1 << 20));
  std::fflush(stdout);
}

void network(const std::string& name, int64_t batch, Math math) {
  Context& context = Context::current();
  ScopedSet mode(context.math, math);
  ScopedSet where(context.device, kDevice);
  const auto net = zoo::build_network(name);
  Generator generator(7);
  net->initialise(generator);
  Shape shape = net->input();
  shape.insert(0, batch);
  const Tensor images = random_grid(shape, DType::kF32);
  std::vector<int64_t> classes;
  for (int64_t i = 0; i < batch; ++i) classes.push_back(i * 7 % net->classes());
  const Tensor labels = Tensor::from<int64_t>({batch}, classes).to(kDevice);
  cuda::current_pool(0)->reset_peak();
  {
    net->train(false);
    const autograd::NoGrad no_grad;
    Tensor y;
    const auto forward = [&] { y = (*net)(autograd::Variable(images)).value(); };
    row(name, batch, "inference", math, seconds_of(forward));
    const auto eager = y.to_vector<float>();
    Replay replay(kDevice, forward);
    row(name, batch, "inference, replayed", math, seconds_of([&] { replay.run(); }));
    if (y.to_vector<float>() != eager) complain(name + ": a replay differs");
    const auto folded = zoo::build_network(name);
    folded->load_state(net->state());
    if (const nn::Folded count = nn::fold_into_convolutions(*folded); count.norms + count.relus > 0) {
      Replay fewer(kDevice, [&] { y = (*folded)(autograd::Variable(images)).value(); });
      row(name, batch, "inference, folded, replayed", math, seconds_of([&] { fewer.run(); }));
    }
  }
  net->train(true);
  autograd::AdamW optimizer({{net->named_parameters()}});
  double first = 0, last = 0;
  const auto step = [&] {
    const autograd::Variable loss =
        autograd::cross_entropy((*net)(autograd::Variable(images)), labels);
    loss.backward();
    optimizer.step(1e-4);
    optimizer.zero_grad();
    last = loss.value().item();
    if (first == 0) first = last;
  };
  row(name, batch, "training", math, seconds_of(step, 0.1));
  nn::ReplayedStep replayed(*net, {images, labels}, 0);
  const auto replayed_step = [&] {
    const Tensor loss = replayed.run({images, labels});
    optimizer.step(1e-4);
    optimizer.zero_grad();
    last = loss.item();
  };
  row(name, batch, "training, replayed", math, seconds_of(replayed_step, 0.1));
  if (!(last < first)) {
    complain(name + ": the loss went from " + std::to_string(first) + " to " +
             std::to_string(last));
  }
}

}  // namespace

int main(int argc, char** argv) {
  const bool quick = argc > 1 && std::strcmp(argv[1], "--quick") == 0;
  try {
    require(kDevice);
    for (const DType dtype : {DType::kF32, DType::kBF16}) {
      guarded("kernels", [&] { kernels(quick, dtype); });
    }
    for (const Math math : {Math::kF32, Math::kTF32, Math::kBF16}) {
      guarded("square", [&] { square(math, quick ? 256 : 8192); });
    }
    for (const Math math : {Math::kTF32, Math::kBF16}) {
      guarded("convolutions", [&] { convolutions(quick, math); });
      guarded("attention", [&] { attentions(quick, math); });
    }
    // Batches first: what is stopped has some of every network.
    for (const int64_t batch : quick ? std::vector<int64_t>{2} : std::vector<int64_t>{1, 64, 256}) {
      for (const char* name :
           {"resnet50", "vit_small_patch16_224", "convnext_tiny", "caformer_s18"}) {
        for (const Math math : {Math::kF32, Math::kTF32, Math::kBF16}) {
          guarded(std::string(name) + ", batch " + std::to_string(batch),
                  [&] { network(name, batch, math); });
          cuda::current_pool(0)->release();
        }
      }
    }
  } catch (const Error& error) {
    std::cerr << "kintsugi-bench-device: " << error.what() << "\n";
    return 1;
  }
  return all_well ? 0 : 1;
}

// Times on a CUDA device, one JSON object a line: kernels that memory bounds, in GB/s of what they
// must read and write, and whole networks, inference and training. `kintsugi-bench-device --quick`
// takes small sizes, to see that it runs.
#include <chrono>
#include <cstdio>
#include <cstring>
#include <functional>
#include <iostream>

#include "kintsugi/autograd/ops/loss.h"
#include "kintsugi/autograd/optim/adamw.h"
#include "kintsugi/engine/core/context.h"
#include "kintsugi/engine/cuda/allocator.h"
#include "kintsugi/engine/ops/elementwise.h"
#include "kintsugi/engine/ops/layout.h"
#include "kintsugi/engine/ops/matmul.h"
#include "kintsugi/engine/ops/norm.h"
#include "kintsugi/engine/ops/optimize.h"
#include "kintsugi/engine/ops/pool.h"
#include "kintsugi/engine/ops/reduce.h"
#include "kintsugi/engine/ops/softmax.h"
#include "kintsugi/engine/program/replay.h"
#include "kintsugi/zoo/catalog.h"

using namespace kintsugi;

namespace {

constexpr Device kDevice{DeviceType::kCuda, 0};
constexpr const char* kMathNames[] = {"f32", "tf32", "bf16"};

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

Tensor random(const Shape& shape, MemoryFormat format = MemoryFormat::kRowMajor) {
  Tensor x = Tensor::empty(shape, DType::kF32, kCpu, format);
  Generator(1).uniform(x, -1, 1);
  return x.to(kDevice);
}

void kernel(const char* name, double bytes, const std::function<void()>& run) {
  const double seconds = seconds_of(run);
  std::printf("{\"kind\": \"kernel\", \"name\": \"%s\", \"gb_s\": %.1f, \"us\": %.1f}\n", name,
              bytes / seconds * 1e-9, seconds * 1e6);
  std::fflush(stdout);
}

void product(const char* name, Math math, int64_t n) {
  ScopedSet mode(Context::current().math, math);
  const Tensor a = random({n, n}), b = random({n, n});
  const double seconds = seconds_of([&] { ops::matmul(a, b); });
  std::printf("{\"kind\": \"product\", \"name\": \"%s\", \"tflop_s\": %.1f}\n", name,
              2e-12 * double(n) * double(n) * double(n) / seconds);
  std::fflush(stdout);
}

// Bytes counted: each tensor once a read and once a write, parameters and statistics left out.
void kernels(bool quick) {
  const int64_t images = quick ? 2 : 64;
  const Tensor x = random({images, 256, 56, 56}, MemoryFormat::kChannelsLast);
  const Tensor y = random({images, 256, 56, 56}, MemoryFormat::kChannelsLast);
  const double size = double(x.bytes());
  const Tensor w = random({256}), b = random({256});
  Tensor into = Tensor::empty_like(x);
  kernel("copy", 2 * size, [&] { into.copy_from(x); });
  kernel("add", 3 * size, [&] { ops::add(x, y); });
  kernel("add a channel", 2 * size, [&] { ops::add(x, b.view({256, 1, 1})); });
  kernel("gelu", 2 * size, [&] { ops::unary(ops::Unary::kGelu, x); });
  kernel("gelu backward", 3 * size, [&] { ops::unary_backward(ops::Unary::kGelu, x, x, y); });
  kernel("to row major", 2 * size, [&] { x.contiguous(); });
  kernel("sum over pixels", size, [&] { ops::reduce(ops::Reduce::kSum, x, {2, 3}); });
  kernel("sum over all but channels", size, [&] { ops::reduce(ops::Reduce::kSum, x, {0, 2, 3}); });
  const auto bn = ops::batch_norm_train(x, w, b, {}, {}, 0.1, 1e-5);
  kernel("batch_norm train", 3 * size, [&] { ops::batch_norm_train(x, w, b, {}, {}, 0.1, 1e-5); });
  kernel("batch_norm train backward", 5 * size,
         [&] { ops::batch_norm_train_backward(x, w, bn.mean, bn.rstd, y, true); });
  kernel("layer_norm", 2 * size, [&] { ops::layer_norm(x, w, b, 1e-6, 1); });
  const auto ln = ops::layer_norm(x, w, b, 1e-6, 1);
  kernel("layer_norm backward", 3 * size,
         [&] { ops::layer_norm_backward(x, w, ln.mean, ln.rstd, y, true, 1); });
  const Tensor rows = random({images * 1024, 784});
  kernel("softmax", 2 * double(rows.bytes()), [&] { ops::softmax(rows, 1); });
  kernel("softmax backward", 3 * double(rows.bytes()),
         [&] { ops::softmax_backward(rows, rows, 1); });
  kernel("max_pool2d 3x3 stride 2", 1.5 * size,
         [&] { ops::max_pool2d(x, ops::Pool2dParams::square(3, 2, 1)); });
  Tensor p = random({images << 18}), m = Tensor::zeros(p.shape(), DType::kF32, kDevice);
  Tensor v = Tensor::zeros(p.shape(), DType::kF32, kDevice);
  const Tensor g = random(p.shape());
  kernel("adamw", 7 * double(p.bytes()), [&] {
    ops::adamw_step(p, g, m, v, {1e-3, 0.9, 0.999, 1e-8, 0.05, 10});
  });
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
  const Tensor images = random(shape, MemoryFormat::kChannelsLast);
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
    if (y.to_vector<float>() != eager)
      std::printf("{\"error\": \"%s: a replay differs\"}\n", name.c_str());
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
  if (!(last < first)) {
    std::printf("{\"error\": \"%s: the loss went from %g to %g\"}\n", name.c_str(), first, last);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const bool quick = argc > 1 && std::strcmp(argv[1], "--quick") == 0;
  try {
    require(kDevice);
    kernels(quick);
    const int64_t n = quick ? 256 : 8192;
    product("f32", Math::kF32, n);
    product("tf32", Math::kTF32, n);
    product("bf16", Math::kBF16, n);
    for (const char* name :
         {"resnet50", "vit_small_patch16_224", "convnext_tiny", "caformer_s18"}) {
      for (const int64_t batch :
           quick ? std::vector<int64_t>{2} : std::vector<int64_t>{1, 64, 256}) {
        for (const Math math : {Math::kF32, Math::kTF32, Math::kBF16}) {
          try {
            network(name, batch, math);
          } catch (const Error& error) {
            std::printf("{\"error\": \"%s, batch %ld: %s\"}\n", name, long(batch), error.what());
          }
          cuda::current_pool(0)->release();
        }
      }
    }
  } catch (const Error& error) {
    std::cerr << "kintsugi-bench-device: " << error.what() << "\n";
    return 1;
  }
}

#include "kintsugi/zoo/measure.h"

#include <algorithm>
#include <chrono>

#include "kintsugi/engine/core/context.h"
#include "kintsugi/engine/ops/layout.h"

namespace kintsugi::zoo {

Tensor Rehearsal::input_of(size_t index, bool home) const {
  const Tensor& feature = features[index];
  const int64_t prefix = network->feature_at(int64_t(index)).prefix_tokens;
  return home || prefix == 0 ? feature : ops::slice(feature, 1, prefix, feature.size(1)).contiguous();
}

Rehearsal rehearse(std::shared_ptr<nn::Network> network, int64_t batch_size) {
  Generator generator(0);
  network->initialise(generator);
  network->train(false);
  Rehearsal out{std::move(network), {}, {}};
  const Shape& input = out.network->input();
  out.images = noise(nn::FeatureShape::grid(input[0], input[1], input[2]), batch_size);
  const autograd::NoGrad no_grad;
  out.network->forward_features(
      nn::Variable(out.images),
      [&](int64_t, const nn::Variable& feature) { out.features.push_back(feature.value()); });
  return out;
}

Tensor noise(const nn::FeatureShape& shape, int64_t batch_size) {
  const MemoryFormat format =
      shape.is_grid() ? MemoryFormat::kChannelsLast : MemoryFormat::kRowMajor;
  Tensor x = Tensor::empty(shape.tensor_shape(batch_size), DType::kF32, kCpu, format);
  Generator generator(1);
  generator.normal(x, 0, 1);
  return x;
}

int64_t peak_bytes(nn::Module& module, const Tensor& input, bool count_input) {
  const autograd::NoGrad no_grad;
  const nn::Variable x(input);
  (void)module(x);  // whatever is packed or cached once is weights
  MemoryStats& memory = *Context::current().memory;
  memory.reset_peak();
  const int64_t before = memory.current;
  (void)module(x);
  return memory.peak - before + (count_input ? int64_t(input.bytes()) : 0);
}

double median_milliseconds(const std::function<void()>& run) {
  using Clock = std::chrono::steady_clock;
  constexpr size_t kLeast = 30, kMost = 600;
  constexpr double kWarm = 10, kLong = 1000;  // milliseconds
  constexpr double kAgreed = 0.05;            // half of the runs are so near each other
  const auto timed = [&] {
    const auto start = Clock::now();
    run();
    return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
  };
  double sum = 0;
  for (size_t i = 0; i < 2 || (sum < kWarm && i < kLeast); ++i) sum += timed();
  std::vector<double> times;
  sum = 0;
  for (;;) {
    while (times.size() % kLeast != 0 || times.empty()) {
      times.push_back(timed());
      sum += times.back();
    }
    std::sort(times.begin(), times.end());
    const double middle = times[times.size() / 2];
    const double spread = times[times.size() * 3 / 4] - times[times.size() / 4];
    if (spread <= kAgreed * middle || sum >= kLong || times.size() >= kMost) return middle;
    times.push_back(timed());
    sum += times.back();
  }
}

}  // namespace kintsugi::zoo

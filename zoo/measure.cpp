#include "kintsugi/zoo/measure.h"

#include <algorithm>
#include <chrono>

#include "kintsugi/engine/core/context.h"
#include "kintsugi/engine/ops/layout.h"

namespace kintsugi::zoo {

Tensor Rehearsal::input_of(size_t index, bool home) const {
  const Tensor& feature = features[index];
  const int64_t prefix = network->feature_at(int64_t(index)).prefix_tokens;
  return home || prefix == 0 ? feature
                             : ops::slice(feature, 1, prefix, feature.size(1)).contiguous();
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
  Tensor x = Tensor::empty(shape.tensor_shape(batch_size), DType::kF32, Context::current().device, format);
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

void time_runs(const std::function<void()>& run, size_t least, std::vector<double>& milliseconds) {
  using Clock = std::chrono::steady_clock;
  constexpr double kWarm = 2, kLong = 12;  // milliseconds
  const auto timed = [&] {
    const auto start = Clock::now();
    run();
    synchronize(Context::current().device);
    return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
  };
  double sum = timed();
  while (sum < kWarm) sum += timed();
  sum = 0;
  for (size_t i = 0; i < least || (sum < kLong && i < 10 * least); ++i) {
    milliseconds.push_back(timed());
    sum += milliseconds.back();
  }
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + ptrdiff_t(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace kintsugi::zoo

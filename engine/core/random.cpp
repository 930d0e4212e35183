#include "kintsugi/engine/core/random.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "kintsugi/engine/core/tensor.h"

namespace kintsugi {

std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t{0xD2511F53} * counter[0];
    const uint64_t b = uint64_t{0xCD9E8D57} * counter[2];
    counter = {uint32_t(b >> 32) ^ counter[1] ^ key[0], uint32_t(b),
               uint32_t(a >> 32) ^ counter[3] ^ key[1], uint32_t(a)};
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
  return counter;
}

namespace {

// Element i of stream s takes two of the four words of block (i/2, s), whatever it makes of them.
template <class Make>
void fill(Tensor& out, uint64_t seed, uint64_t stream, const Make& make) {
  if (out.is_meta()) return;
  const std::array<uint32_t, 2> key{uint32_t(seed), uint32_t(seed >> 32)};
  const bool in_place = out.is_contiguous() && out.device() == kCpu;
  Tensor dense = in_place ? out : Tensor::empty(out.shape(), out.dtype());
  visit_floating("random", out.dtype(), [&](auto zero) {
    using T = decltype(zero);
    T* data = dense.data<T>();
    const int64_t n = dense.numel();
    for (int64_t i = 0; i < n; i += 2) {
      const uint64_t block = uint64_t(i) / 2;
      const auto bits = philox4x32({uint32_t(block), uint32_t(block >> 32), uint32_t(stream),
                                    uint32_t(stream >> 32)},
                                   key);
      data[i] = T(make(bits[0], bits[1]));
      if (i + 1 < n) data[i + 1] = T(make(bits[2], bits[3]));
    }
  });
  if (!in_place) out.copy_from(dense);
}

// Uniform in (0, 1) with 53 bits: never 0 or 1, so that logarithms and inverses are finite.
double open_unit(uint32_t a, uint32_t b) {
  const uint64_t bits = (uint64_t(a) << 32 | b) >> 12;
  return (double(bits) + 0.5) * 0x1p-52;
}

double normal_quantile(double p) {
  // Acklam's rational start is refined by Halley steps on erfc, to double precision.
  const double tail = std::min(p, 1 - p);
  const double t = std::sqrt(-2 * std::log(tail));
  double x = t - (2.515517 + t * (0.802853 + t * 0.010328)) /
                     (1 + t * (1.432788 + t * (0.189269 + t * 0.001308)));
  if (p < 0.5) x = -x;
  for (int step = 0; step < 3; ++step) {
    const double error = 0.5 * std::erfc(-x / std::numbers::sqrt2) - p;
    const double u = error * std::sqrt(2 * std::numbers::pi) * std::exp(x * x / 2);
    x -= u / (1 + x * u / 2);
  }
  return x;
}

}  // namespace

void Generator::uniform(Tensor& out, double low, double high) {
  fill(out, seed_, next_++, [=](uint32_t a, uint32_t b) {
    return low + (high - low) * (double((uint64_t(a) << 32 | b) >> 11) * 0x1p-53);
  });
}

void Generator::normal(Tensor& out, double mean, double stddev) {
  fill(out, seed_, next_++, [=](uint32_t a, uint32_t b) {
    const double radius = std::sqrt(-2 * std::log(open_unit(a, 0x80000000u)));
    return mean + stddev * radius * std::cos(2 * std::numbers::pi * double(b) * 0x1p-32);
  });
}

void Generator::truncated_normal(Tensor& out, double mean, double stddev, double low, double high) {
  const auto cdf = [](double x) { return 0.5 * std::erfc(-x / std::numbers::sqrt2); };
  const double from = cdf((low - mean) / stddev), to = cdf((high - mean) / stddev);
  fill(out, seed_, next_++, [=](uint32_t a, uint32_t b) {
    const double p = from + (to - from) * open_unit(a, b);
    return std::clamp(mean + stddev * normal_quantile(p), low, high);
  });
}

void Generator::bernoulli(Tensor& out, double p) {
  fill(out, seed_, next_++, [=](uint32_t a, uint32_t b) {
    return double((uint64_t(a) << 32 | b) >> 11) * 0x1p-53 < p ? 1.0 : 0.0;
  });
}

}  // namespace kintsugi

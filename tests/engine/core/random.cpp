#include "kintsugi/engine/core/random.h"

#include <cmath>

#include "tests/support/compare.h"

using namespace kintsugi;
using namespace kintsugi::test;

TEST_CASE("random: Philox gives its authors' known answers") {
  using Counter = std::array<uint32_t, 4>;
  CHECK(philox4x32({0, 0, 0, 0}, {0, 0}) ==
        Counter{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(philox4x32({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}) ==
        Counter{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
        Counter{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("random: a stream is a function of its seed and number") {
  const auto draw = [](Generator g) {
    Tensor x = Tensor::empty({7, 5});
    g.uniform(x, 0, 1);
    return x.to_vector<double>();
  };
  CHECK(draw(Generator(1)) == draw(Generator(1)));
  CHECK(draw(Generator(1)) != draw(Generator(2)));
  Generator g(1);
  Tensor skip = Tensor::empty({3}, DType::kF32, kMeta);
  g.normal(skip, 0, 1);
  CHECK(g.next() == 1);
  CHECK(draw(g) == draw(Generator(1, 1)));
  CHECK(draw(g) != draw(Generator(1)));
  // The order in memory does not matter, nor does the element type.
  Tensor plain = Tensor::empty({2, 3, 4, 5}), last = plain.channels_last().clone();
  Tensor wide = Tensor::empty({2, 3, 4, 5}, DType::kF64);
  Generator(5).normal(plain, 0, 1);
  Generator(5).normal(last, 0, 1);
  Generator(5).normal(wide, 0, 1);
  CHECK(error_of(last, plain) == 0);
  CHECK(error_of(plain, wide) < 1e-7);
}

TEST_CASE("random: distributions have the moments and ranges that they promise") {
  const int64_t n = 200000;
  Tensor x = Tensor::empty({n}, DType::kF64);
  const auto moments = [&] {
    double sum = 0, squares = 0, low = 1e9, high = -1e9;
    for (const double v : x.to_vector<double>()) {
      sum += v;
      squares += v * v;
      low = std::min(low, v);
      high = std::max(high, v);
    }
    const double mean = sum / double(n);
    return std::array{mean, squares / double(n) - mean * mean, low, high};
  };
  Generator g(3);
  g.uniform(x, -1, 3);
  auto m = moments();
  CHECK(std::abs(m[0] - 1) < 0.02);
  CHECK(std::abs(m[1] - 16.0 / 12) < 0.03);
  CHECK(m[2] >= -1);
  CHECK(m[3] < 3);
  g.normal(x, 2, 0.5);
  m = moments();
  CHECK(std::abs(m[0] - 2) < 0.01);
  CHECK(std::abs(m[1] - 0.25) < 0.005);
  CHECK(m[3] < 2 + 0.5 * 7);
  g.truncated_normal(x, 0, 1, -2, 2);
  m = moments();
  CHECK(std::abs(m[0]) < 0.01);
  CHECK(std::abs(m[1] - 0.7737) < 0.01);  // 1 - 2 * 2 * density(2) / P(|z| < 2)
  CHECK(m[2] >= -2);
  CHECK(m[3] <= 2);
  g.bernoulli(x, 0.3);
  m = moments();
  CHECK(std::abs(m[0] - 0.3) < 0.005);
  CHECK(m[2] == 0);
  CHECK(m[3] == 1);
}

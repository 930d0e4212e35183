#include "tests/cuda/mma.h"

#include <cmath>

#include "tests/support/compare.h"

using namespace kintsugi;
using namespace kintsugi::test;

namespace {

// To `bits` significant bits, to nearest.
double rounded(double x, int bits) {
  if (x == 0 || !std::isfinite(x)) return x;
  int exponent = 0;
  const double mantissa = std::frexp(x, &exponent);
  return std::ldexp(std::nearbyint(std::ldexp(mantissa, bits)), exponent - bits);
}

void compare(int depth, int bits, void (*add)(const Tensor&, const Tensor&, const Tensor&)) {
  constexpr int kWarps = 3;
  const Tensor a = random_tensor({kWarps, 16, depth}, 1, -2, 2, DType::kF32);
  const Tensor b = random_tensor({kWarps, depth, 8}, 2, -2, 2, DType::kF32);
  const Tensor d = random_tensor({kWarps, 16, 8}, 3, -2, 2, DType::kF32);
  const auto left = a.to_vector<double>(), right = b.to_vector<double>();
  std::vector<double> want = d.to_vector<double>();
  for (int w = 0; w < kWarps; ++w) {
    for (int i = 0; i < 16; ++i) {
      for (int j = 0; j < 8; ++j) {
        for (int k = 0; k < depth; ++k) {
          want[size_t((w * 16 + i) * 8 + j)] +=
              rounded(left[size_t((w * 16 + i) * depth + k)], bits) *
              rounded(right[size_t((w * depth + k) * 8 + j)], bits);
        }
      }
    }
  }
  add(a, b, d);
  const auto got = d.to_vector<double>();
  for (size_t i = 0; i < want.size(); ++i) {
    CAPTURE(i);
    CHECK(got[i] == doctest::Approx(want[i]).epsilon(2e-6));
  }
}

}  // namespace

TEST_CASE(
    "mma: 16 x 8 x 8 in TF32 and 16 x 8 x 16 in BF16 against products of the rounded operands") {
  compare(8, 11, add_products_tf32);
  compare(16, 8, add_products_bf16);
}

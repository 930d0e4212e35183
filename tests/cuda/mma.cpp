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

TEST_CASE("async: ldmatrix brings each lane the elements of its fragment") {
  constexpr int kWarps = 2;
  std::vector<int32_t> numbers(kWarps * 4 * 64 / 2);  // two 16-bit elements each: 0, 1, 2, ...
  for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = int32_t(2 * i | (2 * i + 1) << 16);
  const Tensor matrices = make::from<int32_t>({kWarps, 4 * 64 / 2}, numbers);
  const Tensor words = make::zeros({2, kWarps * 32, 4}, DType::kI32);
  load_matrices(matrices, words);
  const auto got = words.to_vector<int32_t>();
  for (int turned = 0; turned < 2; ++turned) {
    for (int thread = 0; thread < kWarps * 32; ++thread) {
      for (int i = 0; i < 4; ++i) {
        CAPTURE(turned);
        CAPTURE(thread);
        CAPTURE(i);
        const int g = thread % 32 / 4, t = thread % 4, first = (thread / 32 * 4 + i) * 64;
        const int low = first + (turned ? 2 * t * 8 + g : g * 8 + 2 * t);
        const int high = low + (turned ? 8 : 1);
        CHECK(got[size_t((turned * kWarps * 32 + thread) * 4 + i)] == (low | high << 16));
      }
    }
  }
}

TEST_CASE("async: copies arrive in their stage before it is read, unseen ones as zeros") {
  for (const int64_t steps : {1, 2, 7}) {
    const Tensor x = random_tensor({steps, 96, 4}, 1, -1, 1, DType::kF32);
    const Tensor y = make::full(x.shape(), NAN);
    stream(x, y);
    auto want = x.to_vector<float>();
    for (size_t i = 0; i < want.size(); i += 4) {
      if (want[i] < 0) std::fill_n(&want[i], 4, 0.0f);
    }
    CHECK(y.to_vector<float>() == want);
  }
}

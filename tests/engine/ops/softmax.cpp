#include "kintsugi/engine/ops/softmax.h"

#include <cmath>

#include "tests/support/compare.h"

using namespace kintsugi;
using namespace kintsugi::test;

namespace {

const double kNaN = std::nan("");

Tensor f32(const Tensor& x) {
  return x.to(DType::kF32);
}

}  // namespace

TEST_CASE("softmax: hand-made numbers") {
  const Tensor x = make::from<double>({1, 3}, {0, std::log(2.0), std::log(5.0)});
  const Tensor want = make::from<double>({1, 3}, {0.125, 0.25, 0.625});
  CHECK(error_of(ops::softmax(x, 1), want) < 1e-15);
  CHECK(error_of(ops::softmax(f32(x), 1), want) < 1e-6);
  const Tensor logs =
      make::from<double>({1, 3}, {std::log(0.125), std::log(0.25), std::log(0.625)});
  CHECK(error_of(ops::log_softmax(x, 1), logs) < 1e-15);
  CHECK(error_of(ops::log_softmax(f32(x), 1), logs) < 1e-6);
}

TEST_CASE("softmax: f32 kernels against the reference in f64, any length and dimension") {
  auto& fallbacks = Context::current().fallbacks;
  fallbacks.clear();
  uint64_t seed = 0;
  for (const int64_t n : {1, 2, 3, 5, 7, 10, 15, 16, 17, 31, 33, 49, 65, 197, 1000}) {
    CAPTURE(n);
    for (const int dim : {0, 1, 2}) {
      CAPTURE(dim);
      Shape shape{3, 5, 7};
      shape[dim] = n;
      const Tensor x = f32(random_tensor(shape, ++seed, -8, 8)),
                   dy = f32(random_tensor(shape, ++seed));
      const Tensor x64 = x.to(DType::kF64), dy64 = dy.to(DType::kF64);
      const Tensor y = ops::softmax(x, dim), y64 = ops::softmax(x64, dim);
      CHECK(error_of(y, y64) < 1e-6);
      CHECK(error_of(ops::softmax_backward(y, dy, dim), ops::softmax_backward(y64, dy64, dim)) <
            1e-6);
      const Tensor log = ops::log_softmax(x, dim), log64 = ops::log_softmax(x64, dim);
      CHECK(error_of(log, log64) < 1e-6);
      CHECK(error_of(ops::log_softmax_backward(log, dy, dim),
                     ops::log_softmax_backward(log64, dy64, dim)) < 2e-6);
    }
  }
  CHECK(fallbacks.empty());
}

TEST_CASE("softmax: grids channels last, views and gradients in another order") {
  auto& fallbacks = Context::current().fallbacks;
  fallbacks.clear();
  const Tensor x = random_tensor({2, 19, 3, 5}, 1, -4, 4), dy = random_tensor({2, 19, 3, 5}, 2);
  for (const int dim : {0, 1, 2, 3}) {
    CAPTURE(dim);
    const Tensor want = ops::softmax(x, dim), dwant = ops::softmax_backward(want, dy, dim);
    const Tensor y = ops::softmax(f32(x).channels_last(), dim);
    CHECK(y.is_channels_last());
    CHECK(error_of(y, want) < 1e-6);
    CHECK(error_of(ops::softmax_backward(y, f32(dy), dim), dwant) < 1e-6);
    const Tensor wide = f32(random_tensor({2, 19, 3, 9}, 3));
    Tensor part = wide.slice(3, 2, 7);
    part.copy_from(x);
    CHECK(error_of(ops::softmax(part, dim), want) < 1e-6);
  }
  CHECK(fallbacks.empty());
}

TEST_CASE("softmax: large values do not overflow, NaN stays in its row, empty is empty") {
  for (const DType dtype : {DType::kF32, DType::kF64}) {
    Tensor x = make::full({3, 40}, 1e4, dtype);
    const Tensor second = x.slice(0, 1, 2).slice(1, 3, 4);
    Tensor(second).fill(kNaN);
    for (const auto& y : {ops::softmax(x, 1), ops::log_softmax(x, 1)}) {
      const auto values = y.to_vector<double>();
      for (size_t i = 0; i < values.size(); ++i) {
        CHECK(std::isnan(values[i]) == (i / 40 == 1));
      }
    }
    CHECK(ops::softmax(x, 1).to_vector<double>()[0] == doctest::Approx(1.0 / 40));
    CHECK(ops::softmax(make::empty({0, 4}, dtype), 1).shape() == Shape{0, 4});
    CHECK(ops::softmax(make::empty({4, 0}, dtype), 1).shape() == Shape{4, 0});
  }
}

TEST_CASE("softmax: a masked score has probability 0") {
  const Tensor x = make::from<float>({1, 3}, {1, -INFINITY, 1});
  CHECK(ops::softmax(x, 1).to_vector<float>() == std::vector<float>{0.5, 0, 0.5});
}

TEST_CASE("softmax: long rows, many columns, infinities along any dimension") {
  uint64_t seed = 100;
  for (const Shape& shape : {Shape{3, 2500}, Shape{2, 2501}, Shape{2, 25001}, Shape{2, 8200},
                             Shape{70, 300}, Shape{400, 3}, Shape{2, 90, 33}}) {
    CAPTURE(shape);
    for (int dim = 0; dim < shape.rank(); ++dim) {
      const Tensor x = f32(random_tensor(shape, ++seed, -8, 8)),
                   dy = f32(random_tensor(shape, ++seed));
      const Tensor x64 = x.to(DType::kF64), dy64 = dy.to(DType::kF64);
      const Tensor y = ops::softmax(x, dim), y64 = ops::softmax(x64, dim);
      CHECK(error_of(y, y64) < 1e-6);
      CHECK(error_of(ops::softmax_backward(y, dy, dim), ops::softmax_backward(y64, dy64, dim)) <
            1e-6);
      const Tensor log = ops::log_softmax(x, dim), log64 = ops::log_softmax(x64, dim);
      CHECK(error_of(log, log64) < 1e-6);
      CHECK(error_of(ops::log_softmax_backward(log, dy, dim),
                     ops::log_softmax_backward(log64, dy64, dim)) < 1e-5);
    }
  }
  for (const int64_t n : {5, 80}) {
    Tensor x = f32(random_tensor({n, 6}, 1));
    Tensor(x.slice(1, 1, 2).slice(0, 1, 3)).fill(-INFINITY);
    Tensor(x.slice(1, 2, 3)).fill(-INFINITY);
    Tensor(x.slice(1, 3, 4).slice(0, 3, 4)).fill(INFINITY);
    Tensor(x.slice(1, 4, 5).slice(0, 2, 3)).fill(kNaN);
    Tensor(x.slice(1, 0, 1).slice(0, 0, n - 1)).fill(-INFINITY);
    const Tensor want = ops::softmax(x.to(DType::kF64), 0);
    CHECK(error_of(ops::softmax(x, 0), want) < 1e-6);
    CHECK(error_of(ops::softmax(x.transpose(0, 1).contiguous(), 1).transpose(0, 1), want) < 1e-6);
  }
}

TEST_CASE("softmax: bf16 against the reference in f64 of the same values") {
  const auto bf16 = [](const Shape& shape, uint64_t seed, double range) {
    return random_tensor(shape, seed, -range, range, DType::kF32).to(DType::kBF16);
  };
  if (kTestDevice == kCpu) {
    CHECK_ERROR(ops::softmax(bf16({2, 8}, 1, 8), 1), "softmax: got bf16 on the CPU");
    return;
  }
  const auto compare = [&](const Tensor& x, int dim) {
    CAPTURE(x.shape());
    CAPTURE(dim);
    const Tensor dy = bf16(x.shape(), 7, 1), x64 = x.to(DType::kF64), dy64 = dy.to(DType::kF64);
    const Tensor y = ops::softmax(x, dim), log = ops::log_softmax(x, dim);
    CHECK(y.dtype() == DType::kBF16);
    CHECK(log.dtype() == DType::kBF16);
    CHECK(error_of(y, ops::softmax(x64, dim)) < 4e-3);
    CHECK(error_of(log, ops::log_softmax(x64, dim)) < 4e-3);
    // Of the rounded values: a gradient sums them over a row.
    CHECK(error_of(ops::softmax_backward(y, dy, dim),
                   ops::softmax_backward(y.to(DType::kF64), dy64, dim)) < 4e-3);
    CHECK(error_of(ops::log_softmax_backward(log, dy, dim),
                   ops::log_softmax_backward(log.to(DType::kF64), dy64, dim)) < 4e-3);
  };
  for (const int64_t n : {1, 5, 8, 16, 24, 197, 1000, 1032, 2053, 8200}) {
    compare(bf16({9, n}, 1, 8), 1);
    compare(bf16({2, n, 5}, 2, 8), 1);
  }
  compare(bf16({2, 19, 3, 8}, 3, 4).channels_last(), 1);
  compare(bf16({16 * 8 + 1}, 4, 4).slice(0, 1, 16 * 8 + 1).view({16, 8}), 1);
  compare(bf16({3, 9, 7}, 5, 4).transpose(1, 2), 1);
  CHECK(ops::softmax(make::empty({0, 4}, DType::kBF16), 1).shape() == Shape{0, 4});
}

TEST_CASE("softmax: errors and shape-only tensors") {
  const Tensor x = make::zeros({2, 3});
  CHECK_ERROR(ops::softmax(x, 2), "softmax");
  CHECK_ERROR(ops::log_softmax(make::zeros({2}, DType::kI64), 0), "expected f32 or f64");
  CHECK_ERROR(ops::softmax_backward(x, make::zeros({3, 2}), 1), "softmax_backward: dy has shape");
  CHECK(ops::softmax(Tensor::empty({2, 3}, DType::kF32, kMeta), 1).is_meta());
}

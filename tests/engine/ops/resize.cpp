#include "kintsugi/engine/ops/resize.h"

#include "kintsugi/engine/ops/elementwise.h"
#include "kintsugi/engine/ops/reduce.h"
#include "tests/support/compare.h"

using namespace kintsugi;
using namespace kintsugi::test;
using ops::Interpolation;

namespace {

using V = std::vector<double>;

constexpr Interpolation kAll[] = {Interpolation::kNearest, Interpolation::kBilinear,
                                  Interpolation::kBicubic};

Tensor line(const V& values) {
  return make::from<double>({1, 1, 1, int64_t(values.size())}, values);
}

}  // namespace

TEST_CASE("resize: values worked out by hand, half-pixel centres") {
  CHECK(ops::resize2d(line({1, 2}), 1, 4, Interpolation::kBilinear).to_vector<double>() ==
        V{1, 1.25, 1.75, 2});
  CHECK(ops::resize2d(line({1, 2}), 2, 4, Interpolation::kNearest).to_vector<double>() ==
        V{1, 1, 2, 2, 1, 1, 2, 2});
  CHECK(ops::resize2d(line({1, 2, 3, 4}), 1, 2, Interpolation::kBilinear).to_vector<double>() ==
        V{1.5, 3.5});
  CHECK(ops::resize2d(line({1, 2, 3, 4, 5}), 1, 3, Interpolation::kNearest).to_vector<double>() ==
        V{1, 2, 4});
  // The kernel with a = -0.75 at half a pixel: -0.09375, 0.59375, 0.59375, -0.09375.
  CHECK(error_of(ops::resize2d(line({1, 2, 4, 8}), 1, 2, Interpolation::kBicubic),
                 line({-0.09375 * (1 + 4) + 0.59375 * (1 + 2),
                       -0.09375 * (2 + 8) + 0.59375 * (4 + 8)})) < 1e-15);
}

TEST_CASE("resize: constants stay, the same size is the identity, ramps stay ramps inside") {
  const Tensor x = random_tensor({2, 3, 5, 7}, 1);
  for (const Interpolation how : kAll) {
    CHECK(error_of(ops::resize2d(x, 5, 7, how), x) < 1e-15);
    CHECK(error_of(ops::resize2d(make::full({1, 2, 5, 7}, 3, DType::kF64), 9, 4, how),
                   make::full({1, 2, 9, 4}, 3, DType::kF64)) < 1e-14);
  }
  const Tensor up = ops::resize2d(line({0, 1, 2, 3, 4, 5, 6, 7}), 1, 16, Interpolation::kBilinear);
  for (int64_t i = 1; i < 15; ++i) {
    CHECK(up.to_vector<double>()[size_t(i)] == doctest::Approx((double(i) + 0.5) / 2 - 0.5));
  }
}

TEST_CASE("resize: f32 kernels agree with the reference, the backward is the adjoint") {
  Context::current().fallbacks.clear();
  for (const Shape& shape : {Shape{1, 1, 1, 1}, Shape{2, 3, 5, 7}, Shape{1, 17, 4, 3},
                             Shape{2, 64, 14, 14}, Shape{1, 4, 2, 2}, Shape{1, 8, 31, 2},
                             Shape{0, 3, 4, 4}}) {
    for (const Interpolation how : kAll) {
      for (const auto& [h, w] :
           {std::pair<int64_t, int64_t>{1, 1}, {7, 3}, {9, 14}, {28, 28}, {3, 67}}) {
        const Tensor x = random_tensor(shape, 1, -1, 1, DType::kF32);
        const Tensor want = ops::resize2d(x.to(DType::kF64), h, w, how);
        for (const Tensor& a : {x, x.channels_last()}) {
          const Tensor y = ops::resize2d(a, h, w, how);
          CHECK(y.is_channels_last());
          CHECK(error_of(y, want) < 1e-6);
        }
        const Tensor dy = random_tensor(want.shape(), 2, -1, 1, DType::kF32);
        const Tensor dx = ops::resize2d_backward(dy, shape, how);
        const Tensor exact = ops::resize2d_backward(dy.to(DType::kF64), shape, how);
        CHECK(error_of(dx, exact, h * w) < 1e-6);
        CHECK(ops::sum(ops::mul(want, dy.to(DType::kF64))).item() ==
              doctest::Approx(ops::sum(ops::mul(x.to(DType::kF64), exact)).item()));
      }
    }
  }
  CHECK(Context::current().fallbacks.empty());
}

TEST_CASE("resize: every storage of a device") {
  for (const Storage& storage : storages()) {
    for (const Shape& shape : {Shape{2, 3, 5, 7}, Shape{1, 16, 4, 3}}) {
      for (const Interpolation how : kAll) {
        const Tensor x = random_tensor(shape, 1).to(storage.dtype);
        const Tensor y = ops::resize2d(x, 7, 3, how);
        CHECK(y.dtype() == storage.dtype);
        CHECK(error_of(y, ops::resize2d(x.to(DType::kF64), 7, 3, how)) < 1e-6 + storage.rounding);
        const Tensor dy = random_tensor(y.shape(), 2).to(storage.dtype);
        CHECK(error_of(ops::resize2d_backward(dy, shape, how),
                       ops::resize2d_backward(dy.to(DType::kF64), shape, how)) <
              1e-6 + storage.rounding);
      }
    }
  }
}

TEST_CASE("resize: errors") {
  const Tensor x = make::zeros({1, 2, 3, 3});
  CHECK_ERROR(ops::resize2d(x, 0, 3, Interpolation::kNearest), "resize2d: got (1,2,3,3) to 0x3");
  CHECK_ERROR(ops::resize2d(x.view({2, 9}), 1, 1, Interpolation::kNearest),
              "resize2d: got shape (2,9)");
  CHECK_ERROR(ops::resize2d_backward(x, {1, 3, 3, 3}, Interpolation::kNearest),
              "resize2d_backward: got x of shape (1,3,3,3)");
}

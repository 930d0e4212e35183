#include "kintsugi/engine/ops/pool.h"

#include "tests/support/compare.h"

using namespace kintsugi;
using namespace kintsugi::test;
using ops::Pool2dParams;

namespace {

Tensor f32(const Tensor& x) {
  return x.to(DType::kF32);
}

// Few distinct values, so that windows hold ties.
Tensor with_ties(const Shape& shape, uint64_t seed) {
  Tensor x = random_tensor(shape, seed, 0, 4);
  double* p = x.data<double>();
  for (int64_t i = 0; i < x.numel(); ++i) p[i] = std::floor(p[i]);
  return x;
}

// f32 against the reference in f64, which no fast kernel touches.
void check_against_reference(const Shape& shape, const Pool2dParams& params) {
  INFO("x " << shape.str() << " kernel " << params.kernel[0] << "," << params.kernel[1] << " ceil "
            << params.ceil_mode << " include " << params.count_include_pad);
  const Shape y_shape = params.output_shape("pool", shape);
  for (const Storage& storage : storages()) {
    const auto stored = [&](const Tensor& t) { return t.to(storage.dtype); };
    const double tolerance = 1e-6 + storage.rounding;
    const Tensor x = stored(random_tensor(shape, 1)), dy = stored(random_tensor(y_shape, 2));
    const Tensor x64 = x.to(DType::kF64), dy64 = dy.to(DType::kF64);
    for (const Tensor& in : {x, stored(with_ties(shape, 3))}) {
      const auto got = ops::max_pool2d(in, params);
      const auto want = ops::max_pool2d(in.to(DType::kF64), params);
      CHECK(got.output.dtype() == storage.dtype);
      CHECK(got.output.is_channels_last());
      CHECK(got.indices.is_channels_last());
      CHECK(error_of(got.output, f32(want.output)) == 0);
      CHECK(got.indices.to_vector<int32_t>() == want.indices.to_vector<int32_t>());
      CHECK(error_of(ops::max_pool2d_backward(dy, got.indices, shape, params),
                     ops::max_pool2d_backward(dy64, want.indices, shape, params)) < tolerance);
    }
    const Tensor mean = ops::avg_pool2d(x, params);
    CHECK(mean.dtype() == storage.dtype);
    CHECK(mean.is_channels_last());
    CHECK(error_of(mean, ops::avg_pool2d(x64, params)) < tolerance);
    CHECK(error_of(ops::avg_pool2d_backward(dy, shape, params),
                   ops::avg_pool2d_backward(dy64, shape, params)) < tolerance);
  }
}

}  // namespace

TEST_CASE("pool: numbers by hand") {
  const Tensor x = make::from<double>({1, 1, 3, 3}, {1, 2, 3, 6, 5, 4, 7, 9, 9});
  const Pool2dParams two = Pool2dParams::square(2, 1);
  const auto made = ops::max_pool2d(x, two);
  CHECK(made.output.to_vector<double>() == std::vector<double>{6, 5, 9, 9});
  CHECK(made.indices.to_vector<int32_t>() == std::vector<int32_t>{3, 4, 7, 7});
  const Tensor dy = make::from<double>({1, 1, 2, 2}, {1, 2, 3, 4});
  CHECK(ops::max_pool2d_backward(dy, made.indices, x.shape(), two).to_vector<double>() ==
        std::vector<double>{0, 0, 0, 1, 2, 0, 0, 7, 0});
  CHECK(ops::avg_pool2d(x, two).to_vector<double>() == std::vector<double>{3.5, 3.5, 6.75, 6.75});
  CHECK(ops::avg_pool2d_backward(dy, x.shape(), two).to_vector<double>() ==
        std::vector<double>{0.25, 0.75, 0.5, 1, 2.5, 1.5, 0.75, 1.75, 1});
  // Rows 0..1 and 1..2, columns alike: cells overlap where the extent does not divide.
  CHECK(ops::adaptive_avg_pool2d(x, 2, 2).to_vector<double>() ==
        std::vector<double>{3.5, 3.5, 6.75, 6.75});
  CHECK(ops::adaptive_avg_pool2d(x, 1, 1).item() == doctest::Approx(46.0 / 9));
}

TEST_CASE("pool: what padding counts for") {
  const Tensor x = make::from<double>({1, 1, 2, 2}, {-1, -2, -3, -4});
  Pool2dParams params = Pool2dParams::square(2, 2, 1);
  CHECK(ops::max_pool2d(x, params).output.to_vector<double>() ==
        std::vector<double>{-1, -2, -3, -4});  // not the zeros
  CHECK(ops::avg_pool2d(x, params).to_vector<double>() ==
        std::vector<double>{-0.25, -0.5, -0.75, -1});
  params.count_include_pad = false;
  CHECK(ops::avg_pool2d(x, params).to_vector<double>() == std::vector<double>{-1, -2, -3, -4});
}

TEST_CASE("pool: output extents as PyTorch's") {
  const auto extent = [](int64_t input, Pool2dParams params, bool ceil) {
    params.ceil_mode = ceil;
    return params.output_shape("pool", {1, 1, input, input})[2];
  };
  CHECK(extent(112, Pool2dParams::square(3, 2, 1), false) == 56);
  CHECK(extent(5, Pool2dParams::square(2, 2), false) == 2);
  CHECK(extent(5, Pool2dParams::square(2, 2), true) == 3);
  CHECK(extent(4, Pool2dParams::square(3, 2, 1), true) == 3);
  CHECK(extent(3, Pool2dParams::square(2, 2, 1), true) == 2);
  CHECK(extent(2, Pool2dParams::square(1, 3), true) == 1);  // a second window would begin outside
  // In ceil mode a window that hangs over the padded input is divided by what it covers of that.
  Pool2dParams params = Pool2dParams::square(2, 2);
  params.ceil_mode = true;
  const Tensor x = make::full({1, 1, 3, 3}, 6, DType::kF64);
  CHECK(ops::avg_pool2d(x, params).to_vector<double>() == std::vector<double>{6, 6, 6, 6});
}

TEST_CASE("pool: fast against reference") {
  for (const int64_t c : {1, 3, 5, 8, 16, 17, 33, 64, 65, 130}) {
    check_against_reference({2, c, 9, 7}, Pool2dParams::square(3, 2, 1));
    check_against_reference({1, c, 6, 6}, Pool2dParams::square(2, 2));
  }
  for (const bool ceil : {false, true}) {
    for (const bool include : {false, true}) {
      for (const int64_t size : {3, 5, 7, 17}) {
        Pool2dParams params = Pool2dParams::square(3, 2, 1);
        params.ceil_mode = ceil;
        params.count_include_pad = include;
        check_against_reference({2, 20, size, size}, params);
        params.kernel = {2, 3};
        params.stride = {3, 1};
        params.padding = {0, 1, 2, 0};
        check_against_reference({2, 20, size, size + 4}, params);
      }
    }
  }
  check_against_reference({1, 18, 8, 8}, Pool2dParams::square(1, 3));  // cells that nobody reads
  check_against_reference({1, 18, 8, 8}, Pool2dParams::square(8, 1));
  check_against_reference({3, 18, 9, 9}, Pool2dParams::square(3, 1, 1));
  check_against_reference({1, 68, 3, 19}, Pool2dParams::square(3, 1, 1));  // rows of more than a block
}

TEST_CASE("pool: adaptive, fast against reference") {
  for (const int64_t c : {1, 5, 16, 33, 100}) {
    for (const auto& [in, out] : {std::pair{7, 1}, {1, 1}, {7, 3}, {6, 6}, {2, 5}, {17, 4}}) {
      for (const Storage& storage : storages()) {
        const Tensor x = random_tensor({2, c, in, in + 1}, 1).to(storage.dtype);
        const Tensor y = ops::adaptive_avg_pool2d(x, out, out);
        CHECK(y.dtype() == storage.dtype);
        CHECK(y.is_channels_last());
        CHECK(error_of(y, ops::adaptive_avg_pool2d(x.to(DType::kF64), out, out)) <
              1e-6 + storage.rounding);
        const Tensor dy = random_tensor({2, c, out, out}, 2).to(storage.dtype);
        CHECK(error_of(ops::adaptive_avg_pool2d_backward(dy, x.shape()),
                       ops::adaptive_avg_pool2d_backward(dy.to(DType::kF64), x.shape())) <
              1e-6 + storage.rounding);
      }
    }
  }
}

TEST_CASE("pool: the mean of a grid, many sizes") {
  for (const Shape& shape : {Shape{3, 4, 16, 16}, Shape{1, 130, 3, 5}, Shape{2, 7, 70, 61},
                             Shape{1, 12, 100, 90}, Shape{1, 260, 20, 20}}) {
    const Tensor x = random_tensor(shape, 1, 0, 1);
    for (const Tensor& a : {f32(x), f32(x).channels_last()}) {
      CHECK(error_of(ops::adaptive_avg_pool2d(a, 1, 1), ops::adaptive_avg_pool2d(x, 1, 1)) < 1e-6);
    }
  }
  // Memory that begins between two words of 16 bytes.
  const Tensor wide = random_tensor({2, 6, 6, 8}, 2, -1, 1, DType::kF32);
  const Tensor part = wide.view({576}).slice(0, 1, 145).view({1, 6, 6, 4}).permute({0, 3, 1, 2});
  CHECK(error_of(ops::adaptive_avg_pool2d(part, 1, 1),
                 ops::adaptive_avg_pool2d(part.to(DType::kF64), 1, 1)) < 1e-6);
  CHECK(error_of(ops::avg_pool2d(part, Pool2dParams::square(3, 1, 1)),
                 ops::avg_pool2d(part.to(DType::kF64), Pool2dParams::square(3, 1, 1))) < 1e-6);
}

TEST_CASE("pool: a mean over many cells keeps its digits") {
  const Tensor x = make::full({1, 16, 256, 256}, 0.1);
  CHECK(std::abs(ops::adaptive_avg_pool2d(x, 1, 1).to_vector<double>()[0] - double(0.1f)) < 1e-7);
}

TEST_CASE("pool: any strides in memory") {
  const Pool2dParams params = Pool2dParams::square(3, 2, 1);
  for (const DType dtype : {DType::kF32, DType::kF64}) {
    const Tensor x = random_tensor({2, 5, 6, 7}, 1, -1, 1, dtype);
    const Tensor wide = make::zeros({2, 5, 6, 14}, dtype);
    Tensor every_other = wide.slice(3, 0, 14, 2);
    every_other.copy_from(x);
    const auto want = ops::max_pool2d(x, params);
    const auto got = ops::max_pool2d(every_other, params);
    CHECK(error_of(got.output, want.output) == 0);
    CHECK(error_of(ops::avg_pool2d(every_other, params), ops::avg_pool2d(x, params)) < 1e-7);
    const Tensor dy = random_tensor(want.output.shape(), 2, -1, 1, dtype);
    CHECK(error_of(ops::max_pool2d_backward(dy, want.indices.contiguous(), x.shape(), params),
                   ops::max_pool2d_backward(dy.channels_last(), want.indices, x.shape(), params)) <
          1e-7);
    CHECK(error_of(ops::avg_pool2d_backward(dy, x.shape(), params),
                   ops::avg_pool2d_backward(dy.channels_last(), x.shape(), params)) < 1e-7);
    const Tensor one = random_tensor({2, 5, 1, 1}, 3, -1, 1, dtype);
    CHECK(error_of(ops::adaptive_avg_pool2d_backward(one.expand({2, 5, 2, 2}), x.shape()),
                   ops::adaptive_avg_pool2d_backward(one.expand({2, 5, 2, 2}).clone(), x.shape())) <
          1e-7);
  }
}

TEST_CASE("pool: NaN wins, and the first of them") {
  for (const DType dtype : {DType::kF32, DType::kF64}) {
    Tensor x = make::zeros({1, 17, 3, 3}, dtype, MemoryFormat::kChannelsLast);
    x.slice(2, 1, 2).fill(NAN);
    const auto made = ops::max_pool2d(x, Pool2dParams::square(3, 1));
    for (const double v : made.output.to_vector<double>()) CHECK(std::isnan(v));
    CHECK(made.indices.to_vector<int32_t>() == std::vector<int32_t>(17, 3));
    for (const double v : ops::adaptive_avg_pool2d(x, 1, 1).to_vector<double>()) {
      CHECK(std::isnan(v));
    }
    const Tensor low = make::full({1, 2, 2, 2}, -INFINITY, dtype);
    CHECK(ops::max_pool2d(low, Pool2dParams::square(2, 2)).indices.to_vector<int32_t>() ==
          std::vector<int32_t>{0, 0});
  }
}

TEST_CASE("pool: an empty batch, meta, and no fallback in f32") {
  const Pool2dParams params = Pool2dParams::square(2, 2);
  const Tensor none = make::empty({0, 3, 4, 4});
  CHECK(ops::max_pool2d(none, params).output.shape() == Shape{0, 3, 2, 2});
  CHECK(ops::avg_pool2d_backward(ops::avg_pool2d(none, params), none.shape(), params).shape() ==
        none.shape());
  CHECK(ops::adaptive_avg_pool2d(none, 1, 1).shape() == Shape{0, 3, 1, 1});
  const Tensor meta = Tensor::empty({2, 3, 4, 4}, DType::kF32, kMeta);
  const auto made = ops::max_pool2d(meta, params);
  CHECK(made.output.is_meta());
  CHECK(made.indices.dtype() == DType::kI32);
  CHECK(ops::max_pool2d_backward(made.output, made.indices, meta.shape(), params).shape() ==
        meta.shape());

  Context::current().fallbacks.clear();
  check_against_reference({2, 3, 8, 8}, Pool2dParams::square(3, 2, 1));
  ops::adaptive_avg_pool2d_backward(ops::adaptive_avg_pool2d(make::zeros({1, 3, 7, 7}), 1, 1),
                                    {1, 3, 7, 7});
  CHECK(Context::current().fallbacks.empty());
}

TEST_CASE("pool: errors name the op, what was got and what was expected") {
  const Tensor x = make::zeros({1, 2, 5, 5});
  CHECK_ERROR(ops::max_pool2d(make::zeros({2, 5, 5}), Pool2dParams::square(2, 2)),
              "max_pool2d: got shape (2,5,5), expected (N,C,H,W)");
  CHECK_ERROR(ops::avg_pool2d(x, Pool2dParams::square(6, 1)),
              "avg_pool2d: the kernel spans 6 rows, expected at most the padded input's 5");
  CHECK_ERROR(ops::avg_pool2d(x, Pool2dParams::square(2, 0)), "got kernel 2 and stride 0");
  CHECK_ERROR(ops::max_pool2d(x, Pool2dParams::square(2, 2, 2)),
              "got padding 2 and 2 over rows, expected 0 to 1 for a kernel of 2");
  CHECK_ERROR(ops::max_pool2d(x.to(DType::kI32), Pool2dParams::square(2, 2)),
              "max_pool2d: got i32, expected f32 or f64");
  CHECK_ERROR(ops::adaptive_avg_pool2d(x, 0, 1), "adaptive_avg_pool2d: got an output of 0 by 1");
  CHECK_ERROR(ops::adaptive_avg_pool2d_backward(x, {1, 3, 9, 9}), "dy has shape (1,2,5,5)");
  const Pool2dParams two = Pool2dParams::square(2, 2);
  CHECK_ERROR(ops::avg_pool2d_backward(x, {1, 2, 5, 5}, two),
              "avg_pool2d_backward: dy has shape (1,2,5,5), expected (1,2,2,2)");
  const Tensor dy = make::zeros({1, 2, 2, 2});
  CHECK_ERROR(ops::max_pool2d_backward(dy, dy, {1, 2, 5, 5}, two),
              "max_pool2d_backward: got indices of f32, expected i32");
}

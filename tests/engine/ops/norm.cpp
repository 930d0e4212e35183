#include "kintsugi/engine/ops/norm.h"

#include <cmath>

#include "kintsugi/engine/ops/reduce.h"
#include "tests/support/compare.h"

using namespace kintsugi;
using namespace kintsugi::test;

namespace {

Tensor f64(const Tensor& x) {
  return x.defined() ? x.to(DType::kF64) : x;
}
Tensor random32(const Shape& shape, uint64_t seed, double low = -1, double high = 1) {
  return random_tensor(shape, seed, low, high, DType::kF32);
}

// What is rounded to bf16 may be half a unit in the last place away.
double rounded(const Tensor& x, double tolerance) {
  return x.dtype() == DType::kBF16 ? 4e-3 : tolerance;
}

void check_grads(const ops::NormGrads& got, const ops::NormGrads& want, double tolerance) {
  CHECK(error_of(got.dx, want.dx) < rounded(got.dx, tolerance));
  REQUIRE(got.dweight.defined() == want.dweight.defined());
  REQUIRE(got.dbias.defined() == want.dbias.defined());
  if (got.dweight.defined()) CHECK(error_of(got.dweight, want.dweight) < tolerance);
  if (got.dbias.defined()) CHECK(error_of(got.dbias, want.dbias) < tolerance);
}

void compare_batch(const Tensor& x, bool affine) {
  CAPTURE(x.shape());
  const int64_t c = x.size(1);
  const Tensor w = affine ? random32({c}, 2, 0.5, 2) : Tensor(),
               b = affine ? random32({c}, 3) : Tensor();
  const Tensor dy = random32(x.shape(), 4).to(x.dtype());
  if (x.numel() / c > 1) {
    Tensor mean = random32({c}, 5), var = random32({c}, 6, 0.5, 2);
    Tensor mean64 = f64(mean), var64 = f64(var);
    const auto got = ops::batch_norm_train(x, w, b, mean, var, 0.3, 1e-5);
    const auto want = ops::batch_norm_train(f64(x), f64(w), f64(b), mean64, var64, 0.3, 1e-5);
    CHECK(got.output.dtype() == x.dtype());
    CHECK(error_of(got.output, want.output) < rounded(x, 1e-5));
    CHECK(error_of(got.mean, want.mean) < 1e-6);
    CHECK(error_of(got.rstd, want.rstd) < 2e-6);
    CHECK(error_of(mean, mean64) < 1e-6);
    CHECK(error_of(var, var64) < 1e-6);
    // Where two pixels are nearly alike, dx is what large terms leave of each other.
    const double terms = std::max(1.0, ops::reduce(ops::Reduce::kMax, want.rstd).item());
    check_grads(
        ops::batch_norm_train_backward(x, w, got.mean, got.rstd, dy, affine),
        ops::batch_norm_train_backward(f64(x), f64(w), want.mean, want.rstd, f64(dy), affine),
        1e-5 * terms);
  }
  const Tensor mean = random32({c}, 7), var = random32({c}, 8, 0.5, 2);
  CHECK(error_of(ops::batch_norm_eval(x, w, b, mean, var, 1e-5),
                 ops::batch_norm_eval(f64(x), f64(w), f64(b), f64(mean), f64(var), 1e-5)) <
        rounded(x, 1e-6));
  check_grads(
      ops::batch_norm_eval_backward(x, w, mean, var, dy, affine, 1e-5),
      ops::batch_norm_eval_backward(f64(x), f64(w), f64(mean), f64(var), f64(dy), affine, 1e-5),
      1e-5);
}

void compare_layer(const Tensor& x, int dim, bool affine) {
  CAPTURE(x.shape());
  const int64_t c = x.size(dim);
  const Tensor w = affine ? random32({c}, 2, 0.5, 2) : Tensor(),
               b = affine ? random32({c}, 3) : Tensor();
  const auto got = ops::layer_norm(x, w, b, 1e-6, dim);
  const auto want = ops::layer_norm(f64(x), f64(w), f64(b), 1e-6, dim);
  CHECK(got.output.dtype() == x.dtype());
  CHECK(error_of(got.output, want.output) < rounded(x, 2e-5));
  CHECK(error_of(got.mean, want.mean) < 1e-6);
  CHECK(error_of(got.rstd, want.rstd) < 2e-6);
  const Tensor dy = random32(x.shape(), 4).to(x.dtype());
  check_grads(ops::layer_norm_backward(x, w, got.mean, got.rstd, dy, affine, dim),
              ops::layer_norm_backward(f64(x), f64(w), want.mean, want.rstd, f64(dy), affine, dim),
              2e-5);
}

void compare_group(const Tensor& x, int64_t groups, bool affine) {
  CAPTURE(x.shape());
  CAPTURE(groups);
  const int64_t c = x.size(1);
  const Tensor w = affine ? random32({c}, 2, 0.5, 2) : Tensor(),
               b = affine ? random32({c}, 3) : Tensor();
  const auto got = ops::group_norm(x, groups, w, b, 1e-5);
  const auto want = ops::group_norm(f64(x), groups, f64(w), f64(b), 1e-5);
  CHECK(got.output.is_channels_last());
  CHECK(got.output.dtype() == x.dtype());
  CHECK(error_of(got.output, want.output) < rounded(x, 1e-5));
  CHECK(error_of(got.rstd, want.rstd) < 1e-6);
  const Tensor dy = random32(x.shape(), 4).to(x.dtype());
  check_grads(
      ops::group_norm_backward(x, groups, w, got.mean, got.rstd, dy, affine),
      ops::group_norm_backward(f64(x), groups, f64(w), want.mean, want.rstd, f64(dy), affine),
      2e-5);
}

}  // namespace

TEST_CASE("batch_norm: hand-made numbers and running statistics") {
  // Channel 0: 1 3 5 7, mean 4, variance 5; channel 1: constant 2.
  const Tensor x = make::from<double>({4, 2}, {1, 2, 3, 2, 5, 2, 7, 2});
  const Tensor w = make::from<double>({2}, {2, 3}), b = make::from<double>({2}, {0.5, -1});
  for (const DType dtype : {DType::kF64, DType::kF32}) {
    Tensor mean = make::zeros({2}, dtype), var = make::full({2}, 1, dtype);
    const uint64_t version = mean.version();
    const auto y = ops::batch_norm_train(x.to(dtype), w.to(dtype), b.to(dtype), mean, var, 0.1, 0);
    const double step = 2 / std::sqrt(5.0);
    const Tensor first = y.output.slice(1, 0, 1);
    CHECK(error_of(first, make::from<double>({4, 1}, {0.5 - 3 * step, 0.5 - step, 0.5 + step,
                                                        0.5 + 3 * step})) < 1e-6);
    CHECK(mean.to_vector<double>()[0] == doctest::Approx(0.4));
    CHECK(var.to_vector<double>()[0] == doctest::Approx(0.9 + 0.1 * 20.0 / 3));
    CHECK(mean.version() > version);
    const auto e = ops::batch_norm_train(x.to(dtype), w.to(dtype), b.to(dtype), {}, {}, 0.1, 1e-5);
    for (const double v : e.output.slice(1, 1, 2).to_vector<double>())
      CHECK(v == doctest::Approx(-1));
    const Tensor eval = ops::batch_norm_eval(x.to(dtype), {}, {}, make::full({2}, 1, dtype),
                                             make::full({2}, 4, dtype), 0);
    CHECK(eval.to_vector<double>() == std::vector<double>{0, 0.5, 1, 0.5, 2, 0.5, 3, 0.5});
  }
}

TEST_CASE("batch_norm: f32 kernels against f64 over channels and orders in memory") {
  auto& fallbacks = Context::current().fallbacks;
  fallbacks.clear();
  for (const bool affine : {true, false}) {
    for (const int64_t c : {1, 3, 5, 16, 17, 33, 64, 65, 200}) {
      compare_batch(random32({3, c, 7, 9}, 1).channels_last(), affine);
      compare_batch(random32({1, c, 2, 1}, 1), affine);
      compare_batch(random32({33, c}, 1), affine);
      compare_batch(random32({1, c}, 1), affine);
    }
    compare_batch(random32({5, 301}, 1), affine);
    compare_batch(random32({2, 520, 1, 2}, 1), affine);
    compare_batch(random32({5, 24, 40, 40}, 1).channels_last(), affine);  // more threads than one
    compare_batch(random32({2, 24, 9, 9}, 1).channels_last().slice(1, 3, 20), affine);
    compare_batch(random32({4, 6, 5, 24}, 1).permute({0, 3, 1, 2}), affine);
  }
  CHECK(fallbacks.empty());
}

TEST_CASE("batch_norm: results come channels last, an empty batch evaluates") {
  const auto y = ops::batch_norm_train(random32({2, 3, 4, 5}, 1), {}, {}, {}, {}, 0.1, 1e-5);
  CHECK(y.output.is_channels_last());
  const Tensor zero = make::zeros({3}), one = make::full({3}, 1);
  const Tensor empty = make::zeros({0, 3, 4, 5});
  CHECK(ops::batch_norm_eval(empty, {}, {}, zero, one, 0).shape() == empty.shape());
  const auto grads = ops::batch_norm_eval_backward(empty, one, zero, one, empty, true, 0);
  CHECK(grads.dweight.to_vector<float>() == std::vector<float>{0, 0, 0});
}

TEST_CASE("norms: a mean far from zero does not spoil the variance") {
  // Mean 1000, deviation 1: E[x^2] - E[x]^2 would keep one digit. The input's own rounding is 6e-5.
  const Tensor x = random32({4, 32, 20, 20}, 1, 998, 1002).channels_last();
  const auto got = ops::batch_norm_train(x, {}, {}, {}, {}, 0.1, 1e-5);
  const auto want = ops::batch_norm_train(f64(x), {}, {}, {}, {}, 0.1, 1e-5);
  CHECK(error_of(got.rstd, want.rstd) < 1e-6);
  CHECK(error_of(got.output, want.output) < 1e-4);
  const auto layer = ops::layer_norm(x, {}, {}, 1e-5, 1);
  const auto layer_want = ops::layer_norm(f64(x), {}, {}, 1e-5, 1);
  CHECK(error_of(layer.rstd, layer_want.rstd) < 1e-5);
  CHECK(error_of(layer.output, layer_want.output) < 1e-4);
  const auto group = ops::group_norm(x, 4, {}, {}, 1e-5);
  const auto group_want = ops::group_norm(f64(x), 4, {}, {}, 1e-5);
  CHECK(error_of(group.rstd, group_want.rstd) < 1e-6);
  CHECK(error_of(group.output, group_want.output) < 1e-4);
}

TEST_CASE("norms: the first value may be an outlier") {
  Tensor x = random32({200, 16}, 1, -1, 1);
  for (int64_t c = 0; c < 16; ++c) x.data<float>()[c] = 1e4f;
  const auto got = ops::batch_norm_train(x, {}, {}, {}, {}, 0.1, 1e-5);
  const auto want = ops::batch_norm_train(f64(x), {}, {}, {}, {}, 0.1, 1e-5);
  const auto a = got.rstd.to_vector<double>(), b = want.rstd.to_vector<double>();
  for (size_t i = 0; i < a.size(); ++i) CHECK(a[i] == doctest::Approx(b[i]).epsilon(1e-5));
}

TEST_CASE("layer_norm: hand-made numbers") {
  const Tensor x = make::from<double>({2, 4}, {1, 3, 5, 7, 2, 2, 2, 2});
  const Tensor w = make::full({4}, 2, DType::kF64), b = make::full({4}, 1, DType::kF64);
  const double step = 2 / std::sqrt(5.0 + 1e-6);
  const Tensor want =
      make::from<double>({2, 4}, {1 - 3 * step, 1 - step, 1 + step, 1 + 3 * step, 1, 1, 1, 1});
  for (const DType dtype : {DType::kF64, DType::kF32}) {
    const auto y = ops::layer_norm(x.to(dtype), w.to(dtype), b.to(dtype), 1e-6);
    CHECK(error_of(y.output, want) < 1e-6);
    CHECK(y.mean.to_vector<double>() == std::vector<double>{4, 2});
  }
}

TEST_CASE("layer_norm: f32 kernels against f64, tokens and grids") {
  auto& fallbacks = Context::current().fallbacks;
  fallbacks.clear();
  for (const bool affine : {true, false}) {
    for (const int64_t c : {3, 5, 16, 17, 33, 65, 192, 384, 1000}) {
      compare_layer(random32({2, 19, c}, 1), -1, affine);
      compare_layer(random32({2, c, 3, 5}, 1).channels_last(), 1, affine);
      compare_layer(random32({2, c, 3, 5}, 1), 1, affine);
      compare_layer(random32({c}, 1), 0, affine);
    }
    compare_layer(random32({8, 196, 64}, 1), 2, affine);
    for (const int64_t c : {2052, 2053, 6200, 6201, 8200, 25001}) {
      compare_layer(random32({3, c}, 1), 1, affine);
    }
    compare_layer(random32({2 * 16 * 8 + 1}, 1).slice(0, 1, 257).view({2, 16, 8}), -1, affine);
    compare_layer(random32({4, 64, 9}, 1).transpose(1, 2), -1, affine);
    compare_layer(make::zeros({0, 5, 16}), -1, affine);
  }
  CHECK(ops::layer_norm(random32({2, 3, 4, 5}, 1), {}, {}, 1e-6, 1).output.is_channels_last());
  CHECK(fallbacks.empty());
}

TEST_CASE("group_norm: f32 kernels against f64, and its two limits") {
  auto& fallbacks = Context::current().fallbacks;
  fallbacks.clear();
  struct Case {
    Shape shape;
    int64_t groups;
  };
  for (const Case& k : {Case{{2, 6, 5, 7}, 1}, Case{{2, 6, 5, 7}, 3}, Case{{2, 6, 5, 7}, 6},
                        Case{{3, 64, 9, 9}, 1}, Case{{3, 65, 2, 3}, 5}, Case{{1, 96, 1, 1}, 8},
                        Case{{2, 48, 30, 30}, 1}, Case{{2, 24, 5, 7}, 4}}) {
    for (const bool affine : {true, false}) compare_group(random32(k.shape, 1), k.groups, affine);
  }
  // One pixel: layer norm of the channels. One image, a group a channel: batch norm.
  const Tensor pixel = random32({3, 8, 1, 1}, 5), image = random32({1, 8, 5, 5}, 6);
  CHECK(error_of(ops::group_norm(pixel, 1, {}, {}, 1e-5).output,
                 ops::layer_norm(pixel, {}, {}, 1e-5, 1).output) < 1e-6);
  CHECK(error_of(ops::group_norm(image, 8, {}, {}, 1e-5).output,
                 ops::batch_norm_train(image, {}, {}, {}, {}, 0.1, 1e-5).output) < 1e-6);
  CHECK(fallbacks.empty());
}

TEST_CASE("norms: bf16 activations, parameters and statistics in f32") {
  const auto bf16 = [](const Shape& shape) { return random32(shape, 1).to(DType::kBF16); };
  if (kTestDevice == kCpu) {
    CHECK_ERROR(ops::layer_norm(bf16({2, 8}), {}, {}, 0), "layer_norm: got bf16 on the CPU");
    return;
  }
  for (const int64_t c : {1, 5, 16, 24, 200}) {
    compare_batch(bf16({3, c, 7, 9}).channels_last(), true);
    compare_batch(bf16({33, c}), false);
  }
  compare_batch(bf16({5, 24, 40, 40}).channels_last(), true);
  compare_batch(bf16({2, 520, 1, 2}), true);
  compare_batch(bf16({1, 16}), true);
  compare_batch(bf16({2, 24, 9, 9}).channels_last().slice(1, 3, 20), false);
  compare_batch(bf16({4, 6, 5, 24}).permute({0, 3, 1, 2}), true);
  compare_batch(bf16({16 * 8 + 1}).slice(0, 1, 16 * 8 + 1).view({16, 8}), true);
  for (const int64_t c : {5, 8, 96, 384, 776, 1000}) {
    compare_layer(bf16({2, 19, c}), -1, true);
    compare_layer(bf16({2, c, 3, 5}).channels_last(), 1, false);
  }
  for (const int64_t c : {2053, 2600, 4104, 8200}) compare_layer(bf16({3, c}), 1, true);
  compare_layer(bf16({2 * 16 * 8 + 1}).slice(0, 1, 257).view({2, 16, 8}), -1, true);
  compare_layer(bf16({4, 64, 9}).transpose(1, 2), -1, true);
  compare_layer(bf16({0, 5, 16}), -1, true);
  compare_group(bf16({2, 6, 5, 7}), 3, true);
  compare_group(bf16({3, 64, 9, 9}), 1, true);
  compare_group(bf16({2, 48, 10, 10}), 4, false);
  compare_group(bf16({1, 96, 1, 1}), 8, true);
  CHECK_ERROR(ops::layer_norm(bf16({2, 8}), bf16({8}), {}, 0), "parameter in bf16, expected f32");
}

TEST_CASE("norms: NaN spoils its own statistics only") {
  Tensor x = random32({4, 5, 3, 3}, 1).channels_last();
  x.data<float>()[2] = NAN;  // image 0, channel 2
  const auto batch = ops::batch_norm_train(x, {}, {}, {}, {}, 0.1, 1e-5).mean.to_vector<float>();
  for (size_t c = 0; c < 5; ++c) CHECK(std::isnan(batch[c]) == (c == 2));
  const auto layer = ops::layer_norm(x, {}, {}, 1e-5, 1).rstd.to_vector<float>();
  for (size_t r = 0; r < layer.size(); ++r) CHECK(std::isnan(layer[r]) == (r == 0));
  const auto group = ops::group_norm(x, 1, {}, {}, 1e-5).rstd.to_vector<float>();
  for (size_t n = 0; n < 4; ++n) CHECK(std::isnan(group[n]) == (n == 0));
}

TEST_CASE("norms: the same threads give the same bits") {
  const Tensor x = random32({4, 32, 30, 30}, 1).channels_last();
  const auto once = ops::batch_norm_train(x, {}, {}, {}, {}, 0.1, 1e-5);
  const auto twice = ops::batch_norm_train(x, {}, {}, {}, {}, 0.1, 1e-5);
  CHECK(once.output.to_vector<float>() == twice.output.to_vector<float>());
}

TEST_CASE("norms: errors and shape-only tensors") {
  const Tensor x = make::zeros({2, 4, 3, 3}), c4 = make::zeros({4}), c3 = make::zeros({3});
  CHECK_ERROR(ops::batch_norm_train(make::zeros({2, 4, 3}), {}, {}, {}, {}, 0.1, 0),
              "batch_norm_train: got shape (2,4,3)");
  CHECK_ERROR(ops::batch_norm_train(x, c3, {}, {}, {}, 0.1, 0),
              "weight has shape (3), expected (4)");
  CHECK_ERROR(ops::batch_norm_train(x, {}, {}, c3, {}, 0.1, 0), "running_mean has shape (3)");
  CHECK_ERROR(ops::batch_norm_train(make::zeros({1, 4}), {}, {}, {}, {}, 0.1, 0),
              "expected two values or more a channel");
  CHECK_ERROR(ops::batch_norm_eval(x, {}, {}, {}, c4, 0), "running_mean is undefined");
  CHECK_ERROR(ops::batch_norm_eval(x, {}, {}, c4, c4.to(DType::kF64), 0), "expected one dtype");
  CHECK_ERROR(ops::layer_norm(x, {}, {}, 0, 2), "layer_norm: got channel_dim 2");
  CHECK_ERROR(ops::layer_norm(x, c4, {}, 0), "weight has shape (4), expected (3)");
  CHECK_ERROR(ops::group_norm(x, 3, {}, {}, 0), "group_norm: got 3 groups");
  CHECK_ERROR(ops::group_norm(make::zeros({2, 4}), 2, {}, {}, 0), "expected (N,C,H,W)");
  CHECK_ERROR(ops::layer_norm_backward(x, {}, c4, c4, x, false, 1),
              "mean has shape (4), expected (18)");
  const Tensor meta = Tensor::empty({2, 4, 3, 3}, DType::kF32, kMeta);
  CHECK(ops::batch_norm_train(meta, {}, {}, {}, {}, 0.1, 0).output.is_meta());
  CHECK(ops::layer_norm(meta, {}, {}, 0, 1).rstd.shape() == Shape{18});
  CHECK(ops::group_norm(meta, 2, {}, {}, 0).mean.shape() == Shape{4});
}

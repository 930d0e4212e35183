#include "kintsugi/engine/ops/attention.h"

#include <cmath>

#include "kintsugi/engine/ops/matmul.h"
#include "kintsugi/engine/ops/softmax.h"
#include "kintsugi/engine/program/recorder.h"
#include "tests/support/compare.h"

using namespace kintsugi;
using namespace kintsugi::test;

namespace {

Tensor f64(const Tensor& x) {
  return x.defined() ? x.to(DType::kF64) : x;
}

constexpr int64_t kSide = kEmulated ? 133 : 197;  // the emulator is slow

struct Case {
  int64_t b, h, n, m, d, e;
};

// Heads as a fused projection leaves them: (B,N,H,D) in memory.
Tensor heads(int64_t b, int64_t h, int64_t n, int64_t d, uint64_t seed, DType dtype = DType::kF32) {
  return random_tensor({b, n, h, d}, seed).to(dtype).transpose(1, 2);
}

// Sums are f32, so that bf16 costs only the rounding of results, of weights and of the scores'
// gradients.
void compare(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& bias, double scale,
             double tolerance = 1e-5) {
  const DType dtype = q.dtype();
  CAPTURE(name_of(dtype));
  const bool narrow = dtype == DType::kBF16;
  if (narrow) tolerance = 1e-2;
  const auto got = ops::attention(q, k, v, bias, scale);
  const auto want = ops::attention(f64(q), f64(k), f64(v), f64(bias), scale);
  CHECK(got.output.transpose(1, 2).is_contiguous());
  CHECK(got.output.dtype() == dtype);
  CHECK(got.logsumexp.dtype() == DType::kF32);
  CHECK(error_of(got.output, want.output) < (narrow ? 1e-2 : tolerance / 2));
  CHECK(error_of(got.logsumexp, want.logsumexp) < 5e-6);
  const Tensor dy = random_tensor(got.output.shape(), 9).to(dtype);
  const auto grads = ops::attention_backward(q, k, v, bias, scale, got, dy);
  const auto wanted =
      ops::attention_backward(f64(q), f64(k), f64(v), f64(bias), scale, want, f64(dy));
  CHECK(grads.dq.transpose(1, 2).is_contiguous());
  for (const Tensor* x : {&grads.dq, &grads.dk, &grads.dv}) CHECK(x->dtype() == dtype);
  CHECK(error_of(grads.dq, wanted.dq) < tolerance);
  CHECK(error_of(grads.dk, wanted.dk) < tolerance);
  CHECK(error_of(grads.dv, wanted.dv) < tolerance);
  REQUIRE(grads.dbias.defined() == bias.defined());
  if (!bias.defined()) return;
  CHECK(grads.dbias.dtype() == DType::kF32);
  // Over all keys the gradients sum to nothing, but for the rounding of y in sum(dy * y).
  CHECK(error_of(grads.dbias, wanted.dbias) < (narrow ? 2e-2 : tolerance));
}

}  // namespace

TEST_CASE("attention: softmax(scale q k^T + bias) v by its parts") {
  const Tensor q = random_tensor({2, 3, 5, 4}, 1), k = random_tensor({2, 3, 7, 4}, 2),
               v = random_tensor({2, 3, 7, 6}, 3);
  const auto y = ops::attention(q, k, v, {}, 1);
  const Tensor scores = ops::matmul(q, k.transpose(2, 3));
  CHECK(error_of(y.output, ops::matmul(ops::softmax(scores, -1), v)) < 1e-14);
  const auto s = scores.to_vector<double>(), lse = y.logsumexp.to_vector<double>();
  for (size_t i = 0; i < lse.size(); ++i) {
    double sum = 0;
    for (size_t j = 0; j < 7; ++j) sum += std::exp(s[i * 7 + j]);
    CHECK(lse[i] == doctest::Approx(std::log(sum)).epsilon(1e-13));
  }
  // All scores equal: the mean of the values.
  const auto mean = ops::attention(q, k, make::full({2, 3, 7, 6}, 2.5, DType::kF64), {}, 0);
  CHECK(error_of(mean.output, make::full({2, 3, 5, 6}, 2.5, DType::kF64)) < 1e-14);
}

TEST_CASE("attention: f32 and bf16 kernels against f64, forward and backward, odd sizes") {
  auto& fallbacks = Context::current().fallbacks;
  fallbacks.clear();
  for (const Case& c :
       {Case{1, 1, 1, 1, 1, 1}, Case{2, 3, 5, 7, 3, 5}, Case{2, 2, 49, 49, 32, 32},
        Case{1, kEmulated ? 1 : 3, kSide, kSide, 64, 64}, Case{1, 2, 65, 17, 16, 33},
        Case{3, 1, 1, 50, 24, 24}, Case{1, 1, 130, 300, 7, 65}, Case{1, 2, 129, 257, 48, 16},
        Case{0, 2, 4, 4, 8, 8}}) {
    CAPTURE(c.n);
    CAPTURE(c.m);
    CAPTURE(c.d);
    for (const auto& [dtype, rounding] : storages()) {
      const Tensor q = heads(c.b, c.h, c.n, c.d, 1, dtype), k = heads(c.b, c.h, c.m, c.d, 2, dtype),
                   v = heads(c.b, c.h, c.m, c.e, 3, dtype);
      compare(q, k, v, {}, 1 / std::sqrt(double(c.d)));
      if (!(kEmulated && c.n > 100)) compare(q.contiguous(), k.contiguous(), v.contiguous(), {}, 2);
      const Tensor bias = random_tensor({c.h, c.n, c.m}, 4, -1, 1, DType::kF32);
      compare(q, k, v, bias, 0.3);
    }
  }
  CHECK(fallbacks.empty());
}

TEST_CASE("attention: views of a fused projection") {
  auto& fallbacks = Context::current().fallbacks;
  fallbacks.clear();
  for (const auto& [dtype, rounding] : storages()) {
    const Tensor qkv = random_tensor({3, 50, 3, 2, 24}, 1).to(dtype).permute({2, 0, 3, 1, 4});
    const auto part = [&](int64_t i) { return qkv.slice(0, i, i + 1).squeeze(0); };
    compare(part(0), part(1), part(2), {}, 0.2);
    // Strides of the last dimension other than 1 are copied.
    compare(part(0).transpose(2, 3).contiguous().transpose(2, 3), part(1), part(2), {}, 0.2);
  }
  CHECK(fallbacks.empty());
}

TEST_CASE("attention: biases of every broadcast") {
  auto& fallbacks = Context::current().fallbacks;
  fallbacks.clear();
  for (const auto& [dtype, rounding] : storages()) {
    const Tensor q = heads(3, 2, 20, 8, 1, dtype), k = heads(3, 2, 35, 8, 2, dtype),
                 v = heads(3, 2, 35, 8, 3, dtype);
    for (const Shape& shape :
         {Shape{3, 2, 20, 35}, Shape{1, 2, 20, 35}, Shape{3, 1, 20, 35}, Shape{20, 35},
          Shape{3, 1, 1, 35}, Shape{3, 2, 20, 1}, Shape{2, 1, 1}, Shape{35}, Shape{1}, Shape{}}) {
      CAPTURE(shape);
      compare(q, k, v, random_tensor(shape, 4, -1, 1, DType::kF32), 0.3);
    }
    const Tensor one_key = heads(3, 2, 1, 8, 5, dtype);
    compare(q, one_key, one_key, random_tensor({20, 3}, 6, -1, 1, DType::kF32).slice(1, 1, 2), 0.3);
    compare(q, k, v, random_tensor({35, 20}, 7, -1, 1, DType::kF32).transpose(0, 1), 0.3);
  }
  CHECK(fallbacks.empty());
}

TEST_CASE("attention: masked keys, even whole tiles of them, have no weight") {
  const int64_t m = 300;
  for (const auto& [dtype, rounding] : storages()) {
    const Tensor q = heads(1, 2, 9, 16, 1, dtype), k = heads(1, 2, m, 16, 2, dtype),
                 v = heads(1, 2, m, 16, 3, dtype);
    Tensor mask = make::full({m}, -INFINITY);
    mask.slice(0, 260, 270).copy_from(make::zeros({10}));
    const auto masked = ops::attention(q, k, v, mask, 0.25);
    const auto only = ops::attention(q, k.slice(2, 260, 270), v.slice(2, 260, 270), {}, 0.25);
    CHECK(error_of(masked.output, only.output) < (dtype == DType::kF32 ? 2e-6 : 1e-2));
    const Tensor dy = random_tensor(masked.output.shape(), 4).to(dtype);
    const auto grads = ops::attention_backward(q, k, v, mask, 0.25, masked, dy, false);
    CHECK_FALSE(grads.dbias.defined());
    for (const float g : grads.dv.slice(2, 0, 260).to_vector<float>()) REQUIRE(g == 0);
    for (const float g : grads.dk.slice(2, 0, 260).to_vector<float>()) REQUIRE(g == 0);
  }
}

TEST_CASE("attention: large scores, and NaN stays in its query") {
  Tensor q = heads(1, 1, 4, 16, 1).contiguous();
  const Tensor k = heads(1, 1, 150, 16, 2), v = heads(1, 1, 150, 16, 3);
  compare(q, k, v, {}, 100, 1e-4);  // scores of hundreds, rounded at 2e-5
  q.data<float>()[2 * 16 + 5] = NAN;
  const auto y = ops::attention(q, k, v, {}, 1).output.to_vector<float>();
  for (size_t i = 0; i < y.size(); ++i) CHECK(std::isnan(y[i]) == (i / 16 == 2));
}

TEST_CASE(
    "attention: wide heads in several chunks, of different widths, and heads that are not "
    "aligned") {
  auto& fallbacks = Context::current().fallbacks;
  fallbacks.clear();
  for (const Case& c :
       {Case{1, 2, 9, 70, 100, 20}, Case{2, 1, 66, 5, 12, 128}, Case{1, 1, 10, 12, 256, 255},
        Case{1, 1, 12, 10, 129, 130}, Case{1, 2, 5, 66, 24, 300}, Case{1, 1, 66, 7, 300, 130}}) {
    CAPTURE(c.d);
    CAPTURE(c.e);
    for (const auto& [dtype, rounding] : storages()) {
      compare(heads(c.b, c.h, c.n, c.d, 1, dtype), heads(c.b, c.h, c.m, c.d, 2, dtype),
              heads(c.b, c.h, c.m, c.e, 3, dtype), random_tensor({c.n, c.m}, 4, -1, 1, DType::kF32),
              0.1);
    }
  }
  for (const auto& [dtype, rounding] : storages()) {
    const auto from_one = [&](uint64_t seed) {
      return heads(2, 2, 30, 13, seed, dtype).slice(3, 1, 13);
    };
    compare(from_one(1), from_one(2), from_one(3), {}, 0.3);
    compare(heads(2, 2, 1, 8, 1, dtype), heads(2, 2, 70, 8, 2, dtype), heads(2, 2, 70, 8, 3, dtype),
            {}, 0.3);
  }
  CHECK(fallbacks.empty());
}

TEST_CASE("attention: without queries the gradients of keys and values are zero") {
  for (const auto& [dtype, rounding] : storages()) {
    const Tensor none = make::zeros({2, 2, 0, 8}, dtype);
    const Tensor k = heads(2, 2, 5, 8, 2, dtype), v = heads(2, 2, 5, 8, 3, dtype);
    const auto y = ops::attention(none, k, v, {}, 1);
    const auto grads = ops::attention_backward(none, k, v, {}, 1, y, none);
    CHECK(error_of(grads.dk, make::zeros({2, 2, 5, 8})) == 0);
    CHECK(error_of(grads.dv, make::zeros({2, 2, 5, 8})) == 0);
  }
}

TEST_CASE("attention: f32 in TF32 and bf16, and every run has the same bits") {
  for (const auto& [dtype, rounding] : storages()) {
    const bool narrow = dtype == DType::kBF16;
    const double tolerance = narrow ? 1e-2 : 1e-3;
    // To f32 it says the same as TF32, to bf16 nothing.
    const ScopedSet mode(Context::current().math, Math::kBF16);
    for (const Case& c :
         {Case{2, 2, 49, 49, 32, 32}, Case{1, 1, 66, 70, 64, 40}, Case{1, 1, 17, 90, 7, 33},
          Case{1, 1, 20, 66, 100, 12}, Case{1, 1, 9, 10, 130, 200}}) {
      CAPTURE(name_of(dtype));
      CAPTURE(c.d);
      CAPTURE(c.e);
      const Tensor q = heads(c.b, c.h, c.n, c.d, 1, dtype), k = heads(c.b, c.h, c.m, c.d, 2, dtype),
                   v = heads(c.b, c.h, c.m, c.e, 3, dtype);
      const double scale = 1 / std::sqrt(double(c.d));
      // Shared by batches, each score's own, shared by queries too.
      const std::vector<Shape> two{{c.h, c.n, c.m}, {c.b, c.h, c.n, c.m}}, one{{c.m}};
      for (const Shape& shape : c.b > 1 ? two : one) {
        const Tensor bias = random_tensor(shape, 4, -1, 1, DType::kF32);
        const auto got = ops::attention(q, k, v, bias, scale);
        const auto want = ops::attention(f64(q), f64(k), f64(v), f64(bias), scale);
        const double error = error_of(got.output, want.output);
        CHECK(error < tolerance);
        if (kTestDevice.type == DeviceType::kCuda) CHECK(error > 1e-6);
        CHECK(error_of(got.logsumexp, want.logsumexp) < tolerance);
        const Tensor dy = random_tensor(got.output.shape(), 9).to(dtype);
        const auto grads = ops::attention_backward(q, k, v, bias, scale, got, dy);
        const auto wanted =
            ops::attention_backward(f64(q), f64(k), f64(v), f64(bias), scale, want, f64(dy));
        CHECK(error_of(grads.dq, wanted.dq) < tolerance);
        CHECK(error_of(grads.dk, wanted.dk) < tolerance);
        CHECK(error_of(grads.dv, wanted.dv) < tolerance);
        CHECK(error_of(grads.dbias, wanted.dbias) < tolerance);
        if (c.d != 32) continue;
        const auto again = ops::attention_backward(q, k, v, bias, scale, got, dy);
        CHECK(ops::attention(q, k, v, bias, scale).output.to_vector<float>() ==
              got.output.to_vector<float>());
        CHECK(again.dq.to_vector<float>() == grads.dq.to_vector<float>());
        CHECK(again.dk.to_vector<float>() == grads.dk.to_vector<float>());
        CHECK(again.dv.to_vector<float>() == grads.dv.to_vector<float>());
        CHECK(again.dbias.to_vector<float>() == grads.dbias.to_vector<float>());
      }
    }
  }
}

TEST_CASE("attention: masks and NaN in f32, TF32 and bf16") {
  std::vector<std::pair<Math, DType>> modes{{Math::kF32, DType::kF32}, {Math::kTF32, DType::kF32}};
  if (kTestDevice.type == DeviceType::kCuda) modes.push_back({Math::kBF16, DType::kBF16});
  for (const auto& [math, dtype] : modes) {
    CAPTURE(int(math));
    const ScopedSet mode(Context::current().math, math);
    Tensor q = heads(1, 1, 5, 16, 1, dtype).contiguous();
    const Tensor k = heads(1, 1, 150, 16, 2, dtype), v = heads(1, 1, 150, 16, 3, dtype);
    Tensor mask = make::zeros({5, 150});
    mask.slice(0, 1, 2).fill(-INFINITY);                   // every key: NaN
    mask.slice(0, 3, 4).slice(1, 0, 140).fill(-INFINITY);  // whole tiles first
    q.slice(2, 2, 3).fill(NAN);
    const auto got = ops::attention(q, k, v, mask, 0.25);
    const auto want = ops::attention(f64(q), f64(k), f64(v), f64(mask), 0.25);
    const double tolerance = kTestDevice.type == DeviceType::kCpu ? 1e-5 : 1e-2;
    if (kTestDevice.type == DeviceType::kCuda) {
      CHECK(error_of(got.output, want.output) < tolerance);
      CHECK(error_of(got.logsumexp, want.logsumexp) < tolerance);
    }
    const auto y = got.output.to_vector<float>();
    for (size_t i = 0; i < y.size(); ++i) {
      if (i / 16 != 1) CHECK(std::isnan(y[i]) == (i / 16 == 2));
    }
  }
}

TEST_CASE("attention: multiply-adds are counted without computing") {
  const auto meta = [](const Shape& shape) { return Tensor::empty(shape, DType::kF32, kMeta); };
  Recorder recorder;
  const auto y = ops::attention(meta({2, 3, 4, 5}), meta({2, 3, 6, 5}), meta({2, 3, 6, 7}), {}, 1);
  CHECK(y.output.shape() == Shape{2, 3, 4, 7});
  CHECK(recorder.program().macs() == 2 * 3 * 4 * 6 * (5 + 7));
}

TEST_CASE("attention: errors") {
  const Tensor q = make::zeros({2, 3, 4, 5});
  CHECK_ERROR(ops::attention(make::zeros({3, 4, 5}), q, q, {}, 1), "attention: got shape (3,4,5)");
  CHECK_ERROR(ops::attention(q, make::zeros({2, 3, 4, 6}), q, {}, 1), "k has shape (2,3,4,6)");
  CHECK_ERROR(ops::attention(q, q, make::zeros({2, 3, 5, 5}), {}, 1), "v has shape (2,3,5,5)");
  CHECK_ERROR(ops::attention(q, make::zeros({2, 3, 0, 5}), make::zeros({2, 3, 0, 5}), {}, 1),
              "no keys");
  CHECK_ERROR(ops::attention(q, q, q, make::zeros({3, 4, 5}), 1), "attention");
  CHECK_ERROR(ops::attention(q, q, q, make::zeros({5, 2, 3, 4, 4}), 1), "bias has shape");
  CHECK_ERROR(ops::attention(q, q, q, make::zeros({4, 4}, DType::kF64), 1), "expected one dtype");
}

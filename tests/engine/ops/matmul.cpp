#include "kintsugi/engine/ops/matmul.h"

#include <cmath>

#include "kintsugi/engine/program/recorder.h"
#include "tests/support/compare.h"

using namespace kintsugi;
using namespace kintsugi::test;

namespace {

Tensor f64(const Tensor& x) {
  return x.defined() ? x.to(DType::kF64) : x;
}
Tensor f32(const Tensor& x) {
  return x.defined() ? x.to(DType::kF32) : x;
}

// A copy with gaps between the rows, or with the last two dimensions swapped in memory.
Tensor with_gaps(const Tensor& x) {
  Shape wide = x.shape();
  wide[-1] += 3;
  Tensor out = make::zeros(wide, x.dtype()).slice(x.rank() - 1, 2, 2 + x.size(-1));
  out.copy_from(x);
  return out;
}
Tensor turned(const Tensor& x) {
  return x.transpose(-2, -1).contiguous().transpose(-2, -1);
}
// No stride is 1.
Tensor scattered(const Tensor& x) {
  Shape wide = x.shape();
  wide[-1] *= 2;
  Tensor out = make::zeros(wide, x.dtype()).slice(x.rank() - 1, 0, wide[-1], 2);
  out.copy_from(x);
  return out;
}

// By the definition, through indices of its own.
double element(const std::vector<double>& a, const std::vector<double>& b, int64_t i, int64_t j,
               int64_t k, int64_t n) {
  double sum = 0;
  for (int64_t p = 0; p < k; ++p) sum += a[size_t(i * k + p)] * b[size_t(p * n + j)];
  return sum;
}

}  // namespace

TEST_CASE("matmul: the definition") {
  const Tensor a = random_tensor({5, 7}, 1), b = random_tensor({7, 3}, 2);
  const auto y = ops::matmul(a, b).to_vector<double>();
  const auto left = a.to_vector<double>(), right = b.to_vector<double>();
  for (int64_t i = 0; i < 5; ++i) {
    for (int64_t j = 0; j < 3; ++j) {
      CHECK(y[size_t(i * 3 + j)] ==
            doctest::Approx(element(left, right, i, j, 7, 3)).epsilon(1e-13));
    }
  }
}

TEST_CASE("matmul: f32 and bf16 kernels against f64 over sizes and orders in memory") {
  auto& fallbacks = Context::current().fallbacks;
  fallbacks.clear();
  const int64_t sizes[] = {1, 3, 5, 17, 33, 65, 130};
  uint64_t seed = 0;
  for (const int64_t m : sizes) {
    for (const int64_t n : sizes) {
      for (const int64_t k : {1, 4, 31, 300}) {
        CAPTURE(m);
        CAPTURE(n);
        CAPTURE(k);
        const Tensor a = random_tensor({m, k}, ++seed), b = random_tensor({k, n}, ++seed);
        const Tensor a32 = f32(a), b32 = f32(b);
        const Tensor want = ops::matmul(a32.to(DType::kF64), b32.to(DType::kF64));
        CHECK(error_of(ops::matmul(a32, b32), want) < 5e-6);
        CHECK(error_of(ops::matmul(turned(a32), turned(b32)), want) < 5e-6);
        CHECK(error_of(ops::matmul(with_gaps(a32), turned(b32)), want) < 5e-6);
        CHECK(error_of(ops::matmul(turned(a32), with_gaps(b32)), want) < 5e-6);
        CHECK(error_of(ops::matmul(scattered(a32), scattered(b32)), want) < 5e-6);
        if (kTestDevice.type == DeviceType::kCpu || m == 5 || n == 33 || k == 300) continue;
        const Tensor a16 = a.to(DType::kBF16), b16 = b.to(DType::kBF16);
        const Tensor rounded = ops::matmul(f64(a16), f64(b16));
        CHECK(ops::matmul(a16, b16).dtype() == DType::kBF16);
        CHECK(error_of(ops::matmul(a16, b16), rounded) < 1e-2);
        CHECK(error_of(ops::matmul(with_gaps(a16), turned(b16)), rounded) < 1e-2);
        CHECK(error_of(ops::matmul(turned(a16), scattered(b16)), rounded) < 1e-2);
      }
    }
  }
  CHECK(fallbacks.empty());
}

TEST_CASE("matmul: wide and deep products pass through every block") {
  const Tensor a = random_tensor({7, 600}, 1, -1, 1, DType::kF32),
               b = random_tensor({600, 1100}, 2, -1, 1, DType::kF32);
  const Tensor want = ops::matmul(a.to(DType::kF64), b.to(DType::kF64));
  CHECK(error_of(ops::matmul(a, b), want) < 5e-6);
  CHECK(error_of(ops::matmul(scattered(a), scattered(b)), want) < 5e-6);
}

TEST_CASE("matmul: batches, broadcast on either side, permuted heads") {
  auto& fallbacks = Context::current().fallbacks;
  fallbacks.clear();
  struct Case {
    Shape a, b;
  };
  for (const Case& c :
       {Case{{6, 3, 4}, {6, 4, 5}}, Case{{6, 33, 40}, {6, 40, 50}}, Case{{6, 33, 40}, {40, 50}},
        Case{{33, 40}, {6, 40, 50}}, Case{{2, 3, 33, 40}, {2, 1, 40, 50}},
        Case{{2, 3, 4, 5}, {3, 5, 6}}, Case{{2, 1, 3, 9, 5}, {1, 4, 3, 5, 6}},
        Case{{2, 3, 2, 33, 40}, {2, 1, 2, 40, 50}}, Case{{0, 3, 4}, {0, 4, 5}},
        Case{{2, 3, 0}, {2, 0, 5}}, Case{{7, 1, 65}, {65, 3}}, Case{{3, 5, 1, 65}, {65, 30}}}) {
    CAPTURE(c.a);
    CAPTURE(c.b);
    for (const auto& [dtype, rounding] : storages()) {
      const double tolerance = 5e-6 + 2 * rounding;
      const Tensor a = random_tensor(c.a, 1).to(dtype), b = random_tensor(c.b, 2).to(dtype);
      const Tensor want = ops::matmul(f64(a), f64(b));
      CHECK(error_of(ops::matmul(a, b), want) < tolerance);
      if (a.numel() == 0) continue;
      CHECK(error_of(ops::matmul(turned(a), turned(b)), want) < tolerance);
    }
  }
  // (B,N,3,H,D) permuted to three (B,H,N,D).
  const Tensor qkv =
      random_tensor({2, 49, 3, 4, 16}, 3, -1, 1, DType::kF32).permute({2, 0, 3, 1, 4});
  const Tensor q = qkv.slice(0, 0, 1).squeeze(0), k = qkv.slice(0, 1, 2).squeeze(0);
  const Tensor want = ops::matmul(q.to(DType::kF64), k.to(DType::kF64).transpose(2, 3));
  CHECK(error_of(ops::matmul(q, k.transpose(2, 3)), want) < 5e-6);
  CHECK(fallbacks.empty());
}

TEST_CASE("matmul: batches whose products lie at no regular distances") {
  // (B,N,H,D) as (B,H,N,D): two dimensions of the batch, few and many of each.
  for (const int64_t b : {2, 18}) {
    for (const int64_t h : {3, 17}) {
      CAPTURE(b);
      CAPTURE(h);
      for (const auto& [dtype, rounding] : storages()) {
        const double tolerance = 5e-6 + 2 * rounding;
        const Tensor x = random_tensor({b, 5, h, 6}, 1).to(dtype).transpose(1, 2);
        const Tensor z = random_tensor({b, 7, h, 6}, 2).to(dtype).transpose(1, 2);
        const Tensor want = ops::matmul(f64(x), f64(z).transpose(2, 3));
        CHECK(error_of(ops::matmul(x, z.transpose(2, 3)), want) < tolerance);
      }
    }
  }
  // One matrix for rows that lie one by one, and for rows of which all are one.
  const Tensor row = random_tensor({1, 1, 9}, 3, -1, 1, DType::kF32).expand({6, 1, 9});
  const Tensor b = random_tensor({9, 4}, 4, -1, 1, DType::kF32);
  CHECK(error_of(ops::matmul(row, b), ops::matmul(row.to(DType::kF64), b.to(DType::kF64))) < 5e-6);
  const Tensor rows = random_tensor({6, 3, 9}, 3, -1, 1, DType::kF32).slice(1, 1, 2);
  CHECK(error_of(ops::matmul(rows, b), ops::matmul(rows.to(DType::kF64), b.to(DType::kF64))) <
        5e-6);
}

TEST_CASE(
    "matmul and linear: math modes round f32 to TF32 on a device, and every run has the same "
    "bits") {
  const Tensor x = random_tensor({1100, 70}, 1, -1, 1, DType::kF32);
  const Tensor w = random_tensor({45, 70}, 2, -1, 1, DType::kF32);
  const Tensor b = random_tensor({45}, 3, -1, 1, DType::kF32);
  const Tensor dy = random_tensor({1100, 45}, 4, -1, 1, DType::kF32);
  const auto wide = [](const Tensor& t) { return t.to(DType::kF64); };
  const Tensor product = ops::matmul(wide(x), wide(w).transpose(0, 1));
  const Tensor want = ops::linear(wide(x), wide(w), wide(b));
  const auto wanted = ops::linear_backward(wide(x), wide(w), wide(dy), true, true, true);
  for (const auto& [math, tolerance] :
       {std::pair{Math::kF32, 5e-6}, {Math::kTF32, 1e-3}, {Math::kBF16, 1e-3}}) {
    CAPTURE(int(math));
    const ScopedSet mode(Context::current().math, math);
    const auto inexact = [&](double error) {
      CHECK(error < tolerance);
      if (kEmulated && math != Math::kF32) CHECK(error > 1e-6);
    };
    inexact(error_of(ops::matmul(x, w.transpose(0, 1)), product));
    const Tensor y = ops::linear(x, w, b);
    inexact(error_of(y, want));
    const auto got = ops::linear_backward(x, w, dy, true, true, true);
    inexact(error_of(got.dx, wanted.dx));
    inexact(error_of(got.dweight, wanted.dweight));
    CHECK(error_of(got.dbias, wanted.dbias) < 5e-6);
    const auto again = ops::linear_backward(x, w, dy, true, true, true);
    CHECK(ops::linear(x, w, b).to_vector<float>() == y.to_vector<float>());
    CHECK(again.dx.to_vector<float>() == got.dx.to_vector<float>());
    CHECK(again.dweight.to_vector<float>() == got.dweight.to_vector<float>());
    CHECK(again.dbias.to_vector<float>() == got.dbias.to_vector<float>());
  }
}

TEST_CASE("linear: no terms leave the bias") {
  const Tensor b = random_tensor({4}, 1, -1, 1, DType::kF32);
  for (const auto& [dtype, rounding] : storages()) {
    const Tensor y = ops::linear(make::zeros({3, 0}, dtype), make::zeros({4, 0}), b);
    CHECK(y.dtype() == dtype);
    CHECK(error_of(y, b.to(dtype).expand({3, 4})) == 0);
  }
}

TEST_CASE("matmul: a broadcast view inside a matrix, NaN, and no terms") {
  const Tensor row = random_tensor({1, 40}, 1, -1, 1, DType::kF32).expand({50, 40});
  const Tensor b = random_tensor({40, 30}, 2, -1, 1, DType::kF32);
  const Tensor want = ops::matmul(row.to(DType::kF64), b.to(DType::kF64));
  CHECK(error_of(ops::matmul(row, b), want) < 5e-6);
  Tensor bad = row.contiguous();
  bad.data<float>()[3] = NAN;
  const auto y = ops::matmul(bad, b).to_vector<float>();
  CHECK(std::isnan(y[0]));
  CHECK_FALSE(std::isnan(y[30]));
  for (const float v : ops::matmul(make::zeros({2, 0}), make::zeros({0, 3})).to_vector<float>()) {
    CHECK(v == 0);
  }
}

TEST_CASE("linear and its gradients: f32 and bf16 against f64, tokens, grids and slices") {
  auto& fallbacks = Context::current().fallbacks;
  fallbacks.clear();
  const auto compare = [](const Tensor& x32, int64_t out, bool with_bias) {
    CAPTURE(x32.shape());
    CAPTURE(out);
    const Tensor w = random_tensor({out, x32.size(-1)}, 2, -1, 1, DType::kF32);
    const Tensor b = with_bias ? random_tensor({out}, 3, -1, 1, DType::kF32) : Tensor();
    for (const auto& [dtype, rounding] : storages()) {
      const double tolerance = 5e-6 + 2 * rounding;
      // Dense orders stay; what is a slice becomes one again.
      const Tensor x =
          x32.is_dense() || dtype == DType::kF32 ? x32.to(dtype) : with_gaps(x32.to(dtype));
      const Tensor y = ops::linear(x, w, b);
      CHECK(y.dtype() == dtype);
      CHECK(error_of(y, ops::linear(f64(x), f64(w), f64(b))) < tolerance);
      const Tensor dy = random_tensor(y.shape(), 4).to(dtype);
      const auto got = ops::linear_backward(x, w, dy, true, true, true);
      const auto want = ops::linear_backward(f64(x), f64(w), f64(dy), true, true, true);
      CHECK(got.dx.dtype() == dtype);
      CHECK(error_of(got.dx, want.dx) < tolerance);
      CHECK(got.dweight.dtype() == DType::kF32);
      CHECK(error_of(got.dweight, want.dweight) < 5e-6);
      CHECK(got.dbias.dtype() == DType::kF32);
      CHECK(error_of(got.dbias, want.dbias) < 5e-6);
    }
  };
  for (const bool with_bias : {false, true}) {
    for (const int64_t out : {1, 3, 10, 33, 65, 150}) {
      for (const int64_t in : {1, 7, 64, 129}) {
        compare(random_tensor({3, 19, in}, 1, -1, 1, DType::kF32), out, with_bias);
      }
    }
    compare(random_tensor({40}, 1, -1, 1, DType::kF32), 30, with_bias);
    compare(random_tensor({1, 784}, 1, -1, 1, DType::kF32), 10, with_bias);
    compare(random_tensor({700, 40}, 1, -1, 1, DType::kF32), 30, with_bias);
    compare(make::zeros({0, 40}), 30, with_bias);
    // A grid channels last, its channels moved to the end: no copy.
    compare(
        random_tensor({2, 24, 5, 7}, 1, -1, 1, DType::kF32).channels_last().permute({0, 2, 3, 1}),
        30, with_bias);
    // The class tokens of a batch, and channels that lie apart.
    compare(random_tensor({9, 5, 40}, 1, -1, 1, DType::kF32).slice(1, 0, 1).squeeze(1), 30,
            with_bias);
    compare(random_tensor({9, 40, 5}, 1, -1, 1, DType::kF32).transpose(1, 2), 30, with_bias);
  }
  CHECK(fallbacks.empty());
}

TEST_CASE("linear: hand-made numbers and a gradient in another order") {
  const Tensor x = make::from<double>({2, 2}, {1, 2, 3, 4});
  const Tensor w = make::from<double>({3, 2}, {1, 0, 0, 1, 1, -1});
  const Tensor b = make::from<double>({3}, {10, 20, 30});
  const std::vector<double> want{11, 22, 29, 13, 24, 29};
  CHECK(ops::linear(x, w, b).to_vector<double>() == want);
  CHECK(ops::linear(f32(x), f32(w), f32(b)).to_vector<double>() == want);
  const Tensor dy = make::from<double>({3, 2}, {1, 4, 2, 5, 3, 6}).transpose(0, 1);
  for (const bool single : {false, true}) {
    const auto as = [&](const Tensor& t) { return single ? f32(t) : t; };
    const auto g = ops::linear_backward(as(x), as(w), as(dy), true, true, true);
    CHECK(g.dx.to_vector<double>() == std::vector<double>{4, -1, 10, -1});
    CHECK(g.dweight.to_vector<double>() == std::vector<double>{13, 18, 17, 24, 21, 30});
    CHECK(g.dbias.to_vector<double>() == std::vector<double>{5, 7, 9});
  }
}

TEST_CASE("matmul and linear: multiply-adds are counted without computing") {
  const Tensor a = Tensor::empty({2, 3, 4}, DType::kF32, kMeta),
               b = Tensor::empty({4, 5}, DType::kF32, kMeta);
  Recorder recorder;
  CHECK(ops::matmul(a, b).shape() == Shape{2, 3, 5});
  CHECK(recorder.program().macs() == 2 * 3 * 4 * 5);
  const Tensor w = Tensor::empty({7, 4}, DType::kF32, kMeta);
  CHECK(ops::linear(a, w, {}).shape() == Shape{2, 3, 7});
  CHECK(recorder.program().macs() == 2 * 3 * 4 * 5 + 2 * 3 * 4 * 7);
}

TEST_CASE("matmul and linear: errors") {
  const Tensor a = make::zeros({2, 3});
  CHECK_ERROR(ops::matmul(a, make::zeros({4, 2})), "matmul: got (2,3) and (4,2)");
  CHECK_ERROR(ops::matmul(a, make::zeros({3})), "matmul: got (2,3) and (3)");
  CHECK_ERROR(ops::matmul(make::zeros({2, 2, 3}), make::zeros({3, 3, 2})), "matmul");
  CHECK_ERROR(ops::matmul(a, make::zeros({3, 2}, DType::kF64)), "expected one dtype");
  CHECK_ERROR(ops::matmul(a.to(DType::kI64), a.to(DType::kI64)), "expected f32 or f64");
  CHECK_ERROR(ops::linear(a, make::zeros({4, 2}), {}), "linear: got x of shape (2,3)");
  CHECK_ERROR(ops::linear(a, make::zeros({4, 3}), make::zeros({3})), "bias has shape (3)");
  CHECK_ERROR(ops::linear(a, make::zeros({3}), {}), "(out,in)");
  CHECK_ERROR(ops::linear_backward(a, make::zeros({4, 3}), make::zeros({2, 3}), 1, 1, 1),
              "dy has shape (2,3), expected (2,4)");
}

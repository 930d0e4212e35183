#include "kintsugi/engine/ops/elementwise.h"

#include <cmath>
#include <limits>

// The tables of all instruction sets, as the engine itself was built.
#if defined(__x86_64__) && !defined(KINTSUGI_X86_64)
#define KINTSUGI_X86_64 1
#endif
#include "kintsugi/engine/cpu/simd/elementwise.h"
#include "tests/support/compare.h"

using namespace kintsugi;
using namespace kintsugi::test;
using ops::Binary;
using ops::Compare;
using ops::Unary;

namespace {

constexpr int kUnaries = static_cast<int>(Unary::kRelu6) + 1;
constexpr int kBinaries = static_cast<int>(Binary::kMinimum) + 1;

bool positive_only(Unary op) {
  return op == Unary::kLog || op == Unary::kSqrt || op == Unary::kRsqrt;
}

Tensor f32(const Shape& shape, uint64_t seed, double low = -4, double high = 4) {
  return random_tensor(shape, seed, low, high, DType::kF32);
}

Tensor f64(const Tensor& x) {
  return x.to(DType::kF64);
}

// One tensor in several memory layouts, all of the same shape and values.
std::vector<Tensor> layouts(const Tensor& x) {
  std::vector<Tensor> out{x};
  if (x.rank() >= 2) {
    const int last = x.rank() - 1;
    out.push_back(x.transpose(0, last).contiguous().transpose(0, last));
    Shape wide = x.shape();
    wide[last] *= 2;
    Tensor every_other = make::zeros(wide, x.dtype()).slice(last, 0, wide[last], 2);
    every_other.copy_from(x);
    out.push_back(every_other);
  }
  if (x.rank() == 4) out.push_back(x.channels_last());
  return out;
}

}  // namespace

TEST_CASE("elementwise: values against hand-made numbers") {
  const Tensor x = make::from<double>({5}, {-4, -1, 0, 0.5, 7});
  const auto check = [&](Unary op, std::vector<double> want) {
    CAPTURE(name_of(op));
    CHECK(error_of(ops::unary(op, x), make::from<double>({5}, want)) < 1e-9);
  };
  check(Unary::kNeg, {4, 1, 0, -0.5, -7});
  check(Unary::kAbs, {4, 1, 0, 0.5, 7});
  check(Unary::kSquare, {16, 1, 0, 0.25, 49});
  check(Unary::kRelu, {0, 0, 0, 0.5, 7});
  check(Unary::kRelu6, {0, 0, 0, 0.5, 6});
  check(Unary::kHardswish, {0, -1.0 / 3, 0, 0.5 * 3.5 / 6, 7});
  check(Unary::kHardsigmoid, {0, 1.0 / 3, 0.5, 3.5 / 6, 1});
  check(Unary::kSigmoid,
        {0.0179862099620916, 0.268941421369995, 0.5, 0.622459331201855, 0.999088948805599});
  check(Unary::kTanh,
        {-0.999329299739067, -0.761594155955765, 0, 0.46211715726001, 0.99999833694394});
  check(Unary::kSilu,
        {-0.0719448398483664, -0.268941421369995, 0, 0.311229665600927, 6.99362264163919});
  check(Unary::kGelu, {-0.000126685, -0.158655253931457, 0, 0.345731230637006, 6.99999999999});
  const Tensor p = make::from<double>({3}, {0.25, 1, 4});
  CHECK(error_of(ops::unary(Unary::kSqrt, p), make::from<double>({3}, {0.5, 1, 2})) == 0);
  CHECK(error_of(ops::unary(Unary::kRsqrt, p), make::from<double>({3}, {2, 1, 0.5})) == 0);
  CHECK(error_of(ops::unary(Unary::kReciprocal, p), make::from<double>({3}, {4, 1, 0.25})) == 0);
  CHECK(error_of(ops::unary(Unary::kLog, p),
                 make::from<double>({3}, {-std::log(4.0), 0, std::log(4.0)})) < 1e-15);
  CHECK(error_of(ops::unary(Unary::kExp, p),
                 make::from<double>({3}, {std::exp(0.25), std::exp(1.0), std::exp(4.0)})) <
        1e-15);
  CHECK(error_of(ops::pow(p, 1.5), make::from<double>({3}, {0.125, 1, 8})) < 1e-15);
  CHECK(error_of(ops::clamp(x, -2, 1), make::from<double>({5}, {-2, -1, 0, 0.5, 1})) == 0);
  CHECK(error_of(ops::affine(x, 2, 1), make::from<double>({5}, {-7, -1, 1, 2, 15})) == 0);
  CHECK(error_of(ops::leaky_relu(x, 0.1), make::from<double>({5}, {-0.4, -0.1, 0, 0.5, 7})) <
        1e-15);
  const Tensor two = make::full({1}, 2, DType::kF64), three = make::full({1}, 3, DType::kF64);
  CHECK(error_of(ops::star_relu(x, two, three), make::from<double>({5}, {3, 3, 3, 3.5, 101})) ==
        0);
}

TEST_CASE("elementwise: f32 kernels agree with the reference in f64, forward and backward") {
  Context::current().fallbacks.clear();
  for (int i = 0; i < kUnaries; ++i) {
    const Unary op = static_cast<Unary>(i);
    CAPTURE(name_of(op));
    for (const int64_t n : {1, 3, 5, 7, 16, 17, 33, 65, 1000}) {
      const Tensor x = f32({n}, uint64_t(n), positive_only(op) ? 0.1 : -6, 6);
      const Tensor dy = f32({n}, uint64_t(n) + 1);
      const Tensor y = ops::unary(op, x);
      const Tensor want = ops::unary(op, f64(x));
      CHECK(error_of(y, want) < 1e-6);
      // Slopes may be large: of 1/x near 0 the result's own rounding is scaled by 1/x.
      CHECK(error_of(ops::unary_backward(op, x, y, dy),
                     ops::unary_backward(op, f64(x), want, f64(dy))) < 4e-6);
    }
  }
  for (const int64_t n : {1, 7, 33, 100, 70001}) {
    const Tensor x = f32({n}, 1), dy = f32({n}, 2), p = f32({n}, 3, 0.1, 4);
    for (const double e : {0.0, 0.5, 2.0, 3.0, -1.5}) {
      CHECK(error_of(ops::pow(p, e), ops::pow(f64(p), e)) < 1e-6);
      CHECK(error_of(ops::pow_backward(p, dy, e), ops::pow_backward(f64(p), f64(dy), e)) < 1e-6);
    }
    CHECK(error_of(ops::leaky_relu(x, 0.2), ops::leaky_relu(f64(x), 0.2)) < 1e-6);
    CHECK(error_of(ops::leaky_relu_backward(x, dy, 0.2),
                   ops::leaky_relu_backward(f64(x), f64(dy), 0.2)) < 1e-6);
    CHECK(error_of(ops::clamp(x, -1, 2), ops::clamp(f64(x), -1, 2)) < 1e-6);
    CHECK(error_of(ops::clamp_backward(x, dy, -1, 2), ops::clamp_backward(f64(x), f64(dy), -1, 2)) <
          1e-6);
    CHECK(error_of(ops::affine(x, 1.5, -2), ops::affine(f64(x), 1.5, -2)) < 1e-6);
    const Tensor s = make::full({1}, 0.9), b = make::full({1}, -0.4);
    CHECK(error_of(ops::star_relu(x, s, b), ops::star_relu(f64(x), f64(s), f64(b))) < 1e-6);
    const auto got = ops::star_relu_backward(x, s, dy);
    const auto want = ops::star_relu_backward(f64(x), f64(s), f64(dy));
    CHECK(error_of(got.dx, want.dx) < 1e-6);
    CHECK(error_of(got.dscale, want.dscale, x.numel()) < 1e-5);  // terms up to 36
    CHECK(error_of(got.dbias, want.dbias, x.numel()) < 1e-6);
  }
  CHECK(Context::current().fallbacks.empty());
}

TEST_CASE("elementwise: exact GELU in f32 is within 1e-6 everywhere, and its tail is relative") {
  const int64_t n = 40001;
  Tensor x = make::empty({n});
  for (int64_t i = 0; i < n; ++i)
    x.data<float>()[i] = float(-10 + 20.0 * double(i) / double(n - 1));
  const Tensor y = ops::unary(Unary::kGelu, x), want = ops::unary(Unary::kGelu, f64(x));
  double worst = 0;
  for (int64_t i = 0; i < n; ++i) {
    worst = std::max(worst, std::abs(double(y.data<float>()[i]) - want.data<double>()[i]) /
                                std::max(1.0, std::abs(want.data<double>()[i])));
  }
  CHECK(worst < 1e-6);
}

TEST_CASE("elementwise: bf16 is for a device") {
  const Tensor wide = f32({2100}, 1, 0.5, 4).to(DType::kBF16);
  if (kTestDevice == kCpu) {
    CHECK_ERROR(ops::unary(Unary::kRelu, wide), "relu: got bf16 on the CPU");
    return;
  }
  CHECK_ERROR(ops::star_relu(wide, wide.slice(0, 0, 1), wide.slice(0, 0, 1)),
              "got bf16 with a parameter in bf16, expected f32");
  constexpr double kTolerance = 0x1p-8;
  // Whole groups, odd ends, and memory that begins between two words of 16 bytes.
  for (const auto& [first, n] : {std::pair<int64_t, int64_t>{0, 2048}, {0, 1}, {0, 77}, {3, 80}}) {
    const Tensor x = wide.slice(0, first, first + n), x64 = f64(x);
    const Tensor dy = f32({n}, 2).to(DType::kBF16), dy64 = f64(dy);
    for (int i = 0; i < kUnaries; ++i) {
      const Unary op = static_cast<Unary>(i);
      CAPTURE(name_of(op));
      const Tensor y = ops::unary(op, x);
      CHECK(y.dtype() == DType::kBF16);
      CHECK(error_of(y, ops::unary(op, x64)) < kTolerance);
      CHECK(error_of(ops::unary_backward(op, x, y, dy),
                     ops::unary_backward(op, x64, f64(y), dy64)) < kTolerance);
    }
    CHECK(error_of(ops::clamp_backward(x, dy, 1, 2), ops::clamp_backward(x64, dy64, 1, 2)) <
          kTolerance);
    const Tensor s = make::full({1}, 0.9), b = make::full({1}, -0.4);
    CHECK(error_of(ops::star_relu(x, s, b), ops::star_relu(x64, f64(s), f64(b))) < kTolerance);
    const auto got = ops::star_relu_backward(x, s, dy);
    const auto want = ops::star_relu_backward(x64, f64(s), dy64);
    CHECK(error_of(got.dx, want.dx) < kTolerance);
    CHECK(got.dscale.dtype() == DType::kF32);
    CHECK(error_of(got.dscale, want.dscale) < 1e-5);
    CHECK(error_of(got.dbias, want.dbias) < 1e-5);
    const Tensor above = ops::compare(Compare::kGreater, x, make::full({1}, 2));
    CHECK(error_of(above.to(DType::kF32),
                   ops::compare(Compare::kGreater, x64, f64(make::full({1}, 2))).to(DType::kF32)) ==
          0);
    const Tensor taken = ops::where(above, x, make::full({1}, -1));
    CHECK(taken.dtype() == DType::kBF16);
    CHECK(error_of(taken, ops::where(above, x64, f64(make::full({1}, -1)))) == 0);
    // There and back: bf16 is exact in f32, and rounded as the host rounds.
    CHECK(error_of(x.to(DType::kF32), x64) == 0);
    const Tensor fine = f32({n}, 3);
    CHECK(fine.to(DType::kBF16).to_vector<float>() ==
          fine.to(kCpu).to(DType::kBF16).to_vector<float>());
  }
}

TEST_CASE("elementwise: every instruction set gives the same functions") {
  const int64_t n = 77;
  const Tensor x = f32({n}, 9, 0.1, 5), dy = f32({n}, 10);
  std::vector<const cpu::ElementwiseKernels*> tables{&cpu::baseline::elementwise_kernels_table};
#ifdef KINTSUGI_X86_64
  if (cpu::isa() >= cpu::Isa::kAvx2) tables.push_back(&cpu::avx2::elementwise_kernels_table);
  if (cpu::isa() >= cpu::Isa::kAvx512) tables.push_back(&cpu::avx512::elementwise_kernels_table);
#endif
  for (const auto* table : tables) {
    for (int i = 0; i < kUnaries; ++i) {
      const Unary op = static_cast<Unary>(i);
      CAPTURE(name_of(op));
      const Tensor want = ops::unary(op, f64(x));
      Tensor y = make::full({n + 1}, 99), dx = make::full({n + 1}, 99);
      table->forward[i](n, x.data<float>(), y.data<float>(), 0, 0);
      CHECK(error_of(y.slice(0, 0, n), want) < 1e-6);
      table->backward[i](n, x.data<float>(), y.data<float>(), dy.data<float>(), dx.data<float>(), 0,
                         0);
      CHECK(error_of(dx.slice(0, 0, n), ops::unary_backward(op, f64(x), want, f64(dy))) < 4e-6);
      CHECK(y.data<float>()[n] == 99);
      CHECK(dx.data<float>()[n] == 99);
    }
  }
}

TEST_CASE("elementwise: any memory layout gives the same values; dense layouts are kept") {
  Context::current().fallbacks.clear();
  for (const Shape& shape : {Shape{3, 5}, Shape{2, 3, 5, 7}, Shape{4, 17, 3, 3}, Shape{2, 33, 4}}) {
    const Tensor x = f32(shape, 3), dy = f32(shape, 4);
    const Tensor want = ops::unary(Unary::kSilu, x);
    const Tensor want_dx = ops::unary_backward(Unary::kSilu, x, want, dy);
    for (const Tensor& a : layouts(x)) {
      const Tensor y = ops::unary(Unary::kSilu, a);
      CHECK(error_of(y, want) == 0);
      CHECK(y.is_dense());
      if (a.is_channels_last()) CHECK(y.is_channels_last());
      for (const Tensor& d : layouts(dy)) {
        CHECK(error_of(ops::unary_backward(Unary::kSilu, a, y, d), want_dx) == 0);
      }
      for (const Tensor& b : layouts(dy)) {
        for (int i = 0; i < kBinaries; ++i) {
          const Tensor sum = ops::binary(static_cast<Binary>(i), a, b);
          CHECK(error_of(sum, ops::binary(static_cast<Binary>(i), f64(x), f64(dy))) < 1e-6);
          const bool grid = a.is_channels_last() || b.is_channels_last();
          if (grid) CHECK(sum.is_channels_last());
        }
      }
    }
  }
  CHECK(Context::current().fallbacks.empty());
}

namespace {

// Against the definition: both expanded, then element by element.
void check_broadcast(Binary op, const Shape& a_shape, const Storage& of_a, const Shape& b_shape,
                     const Storage& of_b) {
  const Tensor a = f32(a_shape, 1, 1, 2).to(of_a.dtype), b = f32(b_shape, 2, 1, 2).to(of_b.dtype);
  const Shape shape = broadcast_shapes("test", a_shape, b_shape);
  const auto va = a.expand(shape).to_vector<double>(), vb = b.expand(shape).to_vector<double>();
  std::vector<double> want(va.size());
  for (size_t k = 0; k < want.size(); ++k) {
    const double p = va[k], q = vb[k];
    want[k] = op == Binary::kAdd       ? p + q
              : op == Binary::kSub     ? p - q
              : op == Binary::kMul     ? p * q
              : op == Binary::kDiv     ? p / q
              : op == Binary::kMaximum ? std::max(p, q)
                                       : std::min(p, q);
  }
  const Tensor expected = make::from<double>(shape, want);
  const double tolerance = 1e-6 + std::max(of_a.rounding, of_b.rounding);
  for (const Tensor& x : layouts(a)) {
    for (const Tensor& y : layouts(b)) {
      const Tensor got = ops::binary(op, x, y);
      CHECK(got.dtype() == (of_a.rounding > 0 ? of_a.dtype : of_b.dtype));
      CHECK(error_of(got, expected) < tolerance);
      CHECK(error_of(ops::binary(op, a.expand(shape), y), expected) < tolerance);
    }
  }
  CHECK(error_of(ops::binary(op, f64(a), f64(b)), expected) == 0);
  CHECK(error_of(ops::binary(op, a.expand(shape), b.expand(shape)), expected) < tolerance);
}

}  // namespace

TEST_CASE("elementwise: broadcasting in every pair of shapes") {
  Context::current().fallbacks.clear();
  struct Case {
    Shape a, b;
  };
  const std::vector<Case> cases = {
      {{2, 17, 3, 5}, {1, 17, 1, 1}},
      {{2, 16, 3, 5}, {2, 16, 1, 1}},
      {{2, 3, 3, 5}, {}},
      {{2, 3, 3, 5}, {1}},
      {{4, 7, 33}, {33}},
      {{4, 7, 33}, {1, 7, 33}},
      {{4, 7, 33}, {4, 1, 33}},
      {{4, 7, 33}, {4, 7, 1}},
      {{4, 7, 33}, {7, 1}},
      {{5, 1}, {1, 6}},
      {{3, 1, 4}, {1, 5, 1}},
      {{2, 1, 3, 1}, {1, 4, 1, 5}},
      {{}, {}},
      {{0, 3}, {1, 3}},
      {{2, 3, 4, 4}, {2, 1, 4, 4}},
      {{3, 1}, {3, 1}},
      {{1, 1, 1}, {6}},
  };
  for (const Case& c : cases) {
    CAPTURE(c.a.str());
    CAPTURE(c.b.str());
    for (int i = 0; i < kBinaries; ++i) {
      for (const Storage& of_a : storages()) {
        for (const Storage& of_b : storages()) check_broadcast(Binary(i), c.a, of_a, c.b, of_b);
      }
    }
  }
  CHECK(Context::current().fallbacks.empty());
}

TEST_CASE("elementwise: large tensors, split among threads") {
  const Tensor x = f32({3, 64, 61, 67}, 5).channels_last(), c = f32({64, 1, 1}, 6);
  CHECK(error_of(ops::mul(x, c), ops::mul(f64(x), f64(c))) < 1e-6);
  CHECK(error_of(ops::mul(x.contiguous(), c), ops::mul(f64(x), f64(c))) < 1e-6);
  const Tensor y = ops::unary(Unary::kGelu, x);
  CHECK(error_of(y, ops::unary(Unary::kGelu, f64(x))) < 1e-6);
}

TEST_CASE("elementwise: add_in_place adds into any layout and bumps the version") {
  for (const DType dtype : {DType::kF32, DType::kF64}) {
    const Tensor a = random_tensor({2, 17, 3, 5}, 1, -1, 1, dtype);
    const Tensor b = random_tensor({2, 17, 3, 5}, 2, -1, 1, dtype);
    const Tensor want = ops::add(a, b);
    for (const Tensor& dst : layouts(a)) {
      for (const Tensor& src : layouts(b)) {
        Tensor sum = dst.clone();
        const uint64_t before = sum.version();
        ops::add_in_place(sum, src);
        CHECK(error_of(sum, want) == 0);
        CHECK(sum.version() > before);
      }
    }
    // A strided part of a larger tensor: nothing else may change.
    Tensor whole = make::zeros({4, 6}, dtype);
    Tensor part = whole.slice(1, 1, 6, 2);
    ops::add_in_place(part, make::full({4, 3}, 2, dtype));
    CHECK(error_of(whole.slice(1, 0, 6, 2), make::zeros({4, 3}, dtype)) == 0);
    CHECK(error_of(part, make::full({4, 3}, 2, dtype)) == 0);
    // Onto itself.
    Tensor twice = a.clone();
    ops::add_in_place(twice, twice);
    CHECK(error_of(twice, ops::affine(a, 2, 0)) == 0);
  }
}

TEST_CASE("elementwise: NaN goes through, infinities are handled") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float inf = std::numeric_limits<float>::infinity();
  for (const DType dtype : {DType::kF32, DType::kF64}) {
    const Tensor bad = make::full({19}, nan, dtype), ones = make::full({19}, 1, dtype);
    for (int i = 0; i < kUnaries; ++i) {
      CAPTURE(name_of(static_cast<Unary>(i)));
      for (const double v : ops::unary(static_cast<Unary>(i), bad).to_vector<double>()) {
        CHECK(std::isnan(v));
      }
    }
    for (int i = 0; i < kBinaries; ++i) {
      CAPTURE(name_of(static_cast<Binary>(i)));
      for (const double v : ops::binary(static_cast<Binary>(i), bad, ones).to_vector<double>()) {
        CHECK(std::isnan(v));
      }
      for (const double v : ops::binary(static_cast<Binary>(i), ones, bad).to_vector<double>()) {
        CHECK(std::isnan(v));
      }
    }
    CHECK(std::isnan(ops::clamp(bad, 0, 1).slice(0, 0, 1).item()));
    CHECK(std::isnan(ops::leaky_relu(bad, 0.1).slice(0, 0, 1).item()));
    const Tensor ends = make::from<float>({2}, {-inf, inf}).to(dtype);
    CHECK(ops::unary(Unary::kSigmoid, ends).to_vector<double>() == std::vector<double>{0, 1});
    CHECK(ops::unary(Unary::kTanh, ends).to_vector<double>() == std::vector<double>{-1, 1});
    CHECK(ops::unary(Unary::kRelu, ends).to_vector<double>() == std::vector<double>{0, inf});
    CHECK(ops::unary(Unary::kExp, ends).to_vector<double>() == std::vector<double>{0, inf});
  }
}

TEST_CASE("elementwise: where and compare") {
  const Tensor a = make::from<float>({2, 3}, {1, 2, 3, 4, 5, 6});
  const Tensor b = make::from<float>({3}, {3, 2, 1});
  const auto bits = [&](Compare op) { return ops::compare(op, a, b).to_vector<int64_t>(); };
  using V = std::vector<int64_t>;
  CHECK(bits(Compare::kLess) == V{1, 0, 0, 0, 0, 0});
  CHECK(bits(Compare::kLessEqual) == V{1, 1, 0, 0, 0, 0});
  CHECK(bits(Compare::kGreater) == V{0, 0, 1, 1, 1, 1});
  CHECK(bits(Compare::kGreaterEqual) == V{0, 1, 1, 1, 1, 1});
  CHECK(bits(Compare::kEqual) == V{0, 1, 0, 0, 0, 0});
  CHECK(bits(Compare::kNotEqual) == V{1, 0, 1, 1, 1, 1});
  const Tensor c = ops::compare(Compare::kGreater, a, b);
  CHECK(ops::where(c, a, b).to_vector<double>() == std::vector<double>{3, 2, 3, 4, 5, 6});
  CHECK(with_reference([&] { return ops::where(c, a, b); }).to_vector<double>() ==
        std::vector<double>{3, 2, 3, 4, 5, 6});
  // The condition broadcasts too, over a channels-last grid.
  const Tensor x = f32({2, 5, 3, 3}, 1), zero = make::zeros({});
  const Tensor mask = ops::compare(Compare::kLess, f32({2, 1, 3, 3}, 2), zero);
  const Tensor got = ops::where(mask, x.channels_last(), zero);
  CHECK(got.is_channels_last());
  CHECK(error_of(got, with_reference([&] { return ops::where(mask, x, zero); })) == 0);
  const Tensor ids = make::from<int64_t>({3}, {1, 2, 3}), two = make::from<int64_t>({}, {2});
  CHECK(ops::compare(Compare::kEqual, ids, two).to_vector<int64_t>() == V{0, 1, 0});
  CHECK(with_reference([&] {
          return ops::compare(Compare::kEqual, ids, two);
        }).to_vector<int64_t>() == V{0, 1, 0});
}

TEST_CASE("elementwise: empty and shape-only tensors") {
  CHECK(ops::unary(Unary::kGelu, make::zeros({0, 3})).shape() == Shape{0, 3});
  CHECK(ops::add(make::zeros({0, 3}), make::zeros({3})).shape() == Shape{0, 3});
  const Tensor meta = Tensor::empty({2, 8, 5, 5}, DType::kF32, kMeta, MemoryFormat::kChannelsLast);
  const Tensor y =
      ops::add(ops::unary(Unary::kRelu, meta), Tensor::empty({8, 1, 1}, DType::kF32, kMeta));
  CHECK(y.is_meta());
  CHECK(y.is_channels_last());
  CHECK(y.shape() == Shape{2, 8, 5, 5});
}

TEST_CASE("elementwise: errors name the operator, what was got and what was expected") {
  const Tensor a = make::zeros({2, 3}), b = make::zeros({4, 3});
  const Tensor d = make::zeros({2, 3}, DType::kF64), i = make::zeros({2, 3}, DType::kI64);
  CHECK_ERROR(ops::add(a, b), "add: shapes (2,3) and (4,3) do not broadcast");
  CHECK_ERROR(ops::add(a, d), "add: got f32 and f64");
  CHECK_ERROR(ops::add(i, i), "add: got i64, expected f32 or f64");
  CHECK_ERROR(ops::unary(Unary::kGelu, i), "gelu: got i64");
  CHECK_ERROR(ops::unary_backward(Unary::kGelu, a, a, b),
              "gelu: dy has shape (4,3), expected (2,3)");
  CHECK_ERROR(ops::clamp(a, 2, 1), "clamp: got low 2 and high 1");
  CHECK_ERROR(ops::where(a, a, a), "where: condition is f32, expected bool");
  CHECK_ERROR(ops::star_relu(a, a, a), "star_relu: scale has shape (2,3), expected (1)");
  Tensor dst = a;
  CHECK_ERROR(ops::add_in_place(dst, b), "add_in_place: src has shape (4,3), expected (2,3)");
  CHECK_ERROR(ops::add(a, Tensor::empty({2, 3}, DType::kF32, kMeta)), "add: got tensors on");
}

#include "kintsugi/engine/ops/reduce.h"

#include <cmath>
#include <limits>

#include "kintsugi/engine/ops/elementwise.h"
#include "tests/support/compare.h"
#ifdef KINTSUGI_TEST_CUDA
#include "kintsugi/engine/cuda/reduce.h"
#endif

using namespace kintsugi;
using namespace kintsugi::test;
using ops::Reduce;

namespace {

constexpr Reduce kAll[] = {Reduce::kSum, Reduce::kMean, Reduce::kMax, Reduce::kMin};

Tensor f32(const Shape& shape, uint64_t seed) {
  return random_tensor(shape, seed, -4, 4, DType::kF32);
}
Tensor f64(const Tensor& x) {
  return x.to(DType::kF64);
}

// By the definition, over a row-major copy.
std::vector<double> naive(Reduce op, const Tensor& x, const std::vector<bool>& reduced) {
  const auto values = x.to_vector<double>();
  Shape kept = x.shape();
  for (int i = 0; i < x.rank(); ++i) {
    if (reduced[size_t(i)]) kept[i] = 1;
  }
  const Strides strides = contiguous_strides(kept);
  std::vector<std::vector<double>> groups(size_t(kept.numel()));
  for (int64_t i = 0; i < x.numel(); ++i) {
    int64_t rest = i, at = 0;
    for (int d = x.rank() - 1; d >= 0; --d) {
      const int64_t index = rest % x.size(d);
      rest /= x.size(d);
      if (!reduced[size_t(d)]) at += index * strides[d];
    }
    groups[size_t(at)].push_back(values[size_t(i)]);
  }
  std::vector<double> out;
  for (const auto& group : groups) {
    double sum = 0;
    for (const double v : group) sum += v;
    out.push_back(op == Reduce::kSum    ? sum
                  : op == Reduce::kMean ? sum / double(group.size())
                  : op == Reduce::kMax  ? *std::max_element(group.begin(), group.end())
                                        : *std::min_element(group.begin(), group.end()));
  }
  return out;
}

}  // namespace

TEST_CASE("reduce: every subset of dimensions, every layout, both kernels") {
  Context::current().fallbacks.clear();
  for (const Shape& shape : {Shape{7}, Shape{3, 5}, Shape{65, 33}, Shape{2, 17, 3, 5},
                             Shape{4, 16, 7, 7}, Shape{2, 3, 4, 5, 3}, Shape{1, 64, 1, 9}}) {
    const Tensor x = f32(shape, 7);
    std::vector<Tensor> layouts{x, x.transpose(0, -1).contiguous().transpose(0, -1)};
    if (x.rank() == 4) layouts.push_back(x.channels_last());
    Shape wide = shape;
    wide[-1] = wide[-1] * 2 + 1;
    layouts.push_back(make::zeros(wide).slice(-1, 1, wide[-1], 2));
    layouts.back().copy_from(x);
    for (unsigned subset = 1; subset < (1u << shape.rank()); ++subset) {
      Dims dims;
      std::vector<bool> reduced;
      for (int i = 0; i < shape.rank(); ++i) {
        reduced.push_back(subset >> i & 1);
        if (reduced.back()) dims.push_back(i % 2 ? i : i - shape.rank());
      }
      for (const Reduce op : kAll) {
        CAPTURE(dims.str());
        CAPTURE(shape.str());
        const auto want = naive(op, x, reduced);
        const Tensor exact = ops::reduce(op, f64(x), dims, true);
        const int64_t terms =
            op == Reduce::kSum ? x.numel() / std::max<int64_t>(1, exact.numel()) : 1;
        CHECK(error_of(exact, make::from<double>(exact.shape(), want)) < 1e-14);
        for (const Tensor& a : layouts) {
          const Tensor kept = ops::reduce(op, a, dims, true);
          CHECK(error_of(kept, exact, terms) < 1e-6);
          if (a.is_channels_last()) CHECK(kept.is_channels_last());
          const Tensor dropped = ops::reduce(op, a, dims, false);
          CHECK(dropped.rank() == shape.rank() - dims.rank());
          CHECK(error_of(dropped.contiguous().view(kept.shape()), exact, terms) < 1e-6);
        }
      }
    }
    CHECK(error_of(ops::sum(x), ops::sum(f64(x)), x.numel()) < 1e-6);
    CHECK(ops::mean(x).shape() == Shape{});
    CHECK(ops::mean(x, {}, true).rank() == x.rank());
  }
  CHECK(Context::current().fallbacks.empty());
}

TEST_CASE("reduce: a large f32 sum loses nothing that its result could show") {
  // 1e7 times 0.1f: a single f32 accumulator stops near 1e6 + 8 %.
  const Tensor x = make::full({10, 1000, 1000}, 0.1);
  const double want = 1e7 * double(0.1f);
  CHECK(std::abs(ops::sum(x).item() - want) / want < 2e-7);
  const Tensor columns = ops::sum(x, {0, 1});
  for (const double v : columns.to_vector<double>()) CHECK(std::abs(v - want / 1000) < 5e-4);
  const Tensor big = random_tensor({4, 64, 96, 96}, 3, -1, 1, DType::kF32).channels_last();
  CHECK(error_of(ops::mean(big, {0, 2, 3}), ops::mean(f64(big), {0, 2, 3})) < 1e-7);
  CHECK(error_of(ops::sum(big, {2, 3}), ops::sum(f64(big), {2, 3})) < 1e-6);
}

TEST_CASE("reduce: the result does not depend on the memory of the threads") {
  const Tensor x = random_tensor({9, 301, 211}, 3, -1, 1, DType::kF32);
  const double first = ops::sum(x).item();
  for (int i = 0; i < 5; ++i) CHECK(ops::sum(x).item() == first);
  Context& context = Context::current();
  const int threads = context.threads();
  context.set_threads(3);
  CHECK(error_of(ops::sum(x, {0}), ops::sum(f64(x), {0})) < 1e-6);
  CHECK(error_of(ops::reduce(Reduce::kMax, x, {0, 1}), ops::reduce(Reduce::kMax, f64(x), {0, 1})) ==
        0);
  context.set_threads(threads);
}

TEST_CASE("reduce: long runs are cut in parts, short ones share a warp, offsets are not aligned") {
  const float infinity = std::numeric_limits<float>::infinity();
  for (const Shape& shape : {Shape{1, 18000}, Shape{2000, 3}, Shape{2, 3000, 2}, Shape{1, 9001},
                             Shape{2, 700, 40}, Shape{300, 4}, Shape{90, 37}, Shape{2, 530}}) {
    CAPTURE(shape.str());
    Tensor x = f32(shape, 5);
    // The same largest and smallest value in two places of the first and the last part.
    for (int dim = 0; dim < shape.rank(); ++dim) {
      const int64_t n = shape[dim];
      if (n < 1000) continue;
      for (const int64_t at : {n / 9, n - 3}) {
        x.slice(dim, at, at + 1).fill(5);
        x.slice(dim, at + 1, at + 2).fill(-5);
      }
    }
    Tensor cut = make::zeros({x.numel() + 1}).slice(0, 1, x.numel() + 1).view(shape);
    cut.copy_from(x);
    for (int dim = 0; dim < shape.rank(); ++dim) {
      for (const Tensor& a : {x, cut}) {
        for (const Reduce op : kAll) {
          const Tensor want = ops::reduce(op, f64(a), {dim}, true);
          const Tensor got = ops::reduce(op, a, {dim}, true);
          CHECK(error_of(got, want, op == Reduce::kSum ? shape[dim] : 1) < 1e-6);
          if (op != Reduce::kMax) continue;
          const Tensor dy = f32(got.shape(), 2);
          CHECK(error_of(ops::extremum_backward(a, got, dy),
                         ops::extremum_backward(f64(a), want, f64(dy))) < 1e-6);
        }
        CHECK(ops::argmax(a, dim).to_vector<int64_t>() ==
              ops::argmax(f64(a), dim).to_vector<int64_t>());
      }
    }
  }
  // Nothing is larger than -infinity here, and NaN still is.
  Tensor low = make::full({2, 5000}, -infinity);
  CHECK(ops::argmax(low, 1).to_vector<int64_t>() == std::vector<int64_t>{0, 0});
  CHECK(ops::argmax(low.transpose(0, 1).contiguous(), 0).to_vector<int64_t>() ==
        std::vector<int64_t>{0, 0});
  low.slice(1, 4000, 5000).fill(NAN);
  CHECK(ops::argmax(low, 1).to_vector<int64_t>() == std::vector<int64_t>{4000, 4000});
  CHECK(ops::argmax(low.transpose(0, 1).contiguous(), 0).to_vector<int64_t>() ==
        std::vector<int64_t>{4000, 4000});
}

TEST_CASE("reduce: bf16 against f64 of the same values, along rows and columns") {
  const auto bf16 = [](const Shape& shape) { return f32(shape, 3).to(DType::kBF16); };
  if (kTestDevice == kCpu) {
    CHECK_ERROR(ops::sum(bf16({2, 8})), "sum: got bf16 on the CPU");
    return;
  }
  const auto compare = [](const Tensor& x, const Dims& dims) {
    CAPTURE(x.shape());
    CAPTURE(dims.str());
    for (const Reduce op : kAll) {
      const bool extremum = op == Reduce::kMax || op == Reduce::kMin;
      const Tensor want = ops::reduce(op, f64(x), dims, true);
      const Tensor got = ops::reduce(op, x, dims, true);
      CHECK(got.dtype() == DType::kBF16);
      CHECK(error_of(got, want) <= (extremum ? 0 : 4e-3));
#ifdef KINTSUGI_TEST_CUDA
      if (!extremum) {
        Tensor wide = Tensor::empty_like(got.to(DType::kF32));
        CHECK(cuda::reduce(op, x, wide));
        CHECK(error_of(wide, want) < 1e-6);
      }
#endif
      if (!extremum) continue;
      const Tensor dy = f32(got.shape(), 2).to(DType::kBF16);
      const Tensor dx = ops::extremum_backward(x, got, dy);
      CHECK(dx.dtype() == DType::kBF16);
      CHECK(error_of(dx, ops::extremum_backward(f64(x), want, f64(dy))) < 4e-3);
    }
    if (dims.rank() != 1) return;
    CHECK(ops::argmax(x, int(dims[0])).to_vector<int64_t>() ==
          ops::argmax(f64(x), int(dims[0])).to_vector<int64_t>());
  };
  for (const Shape& shape : {Shape{7}, Shape{8}, Shape{65, 33}, Shape{400, 24}, Shape{2, 5200},
                             Shape{5200, 3}, Shape{3000, 16}, Shape{2, 36000}}) {
    for (int dim = 0; dim < shape.rank(); ++dim) compare(bf16(shape), {dim});
  }
  const Tensor grid = bf16({3, 24, 7, 7});
  for (const Tensor& x : {grid, grid.channels_last(), grid.slice(3, 1, 7),
                          grid.channels_last().slice(1, 8, 16), grid.transpose(1, 3)}) {
    for (const Dims& dims : {Dims{1}, Dims{2, 3}, Dims{0, 2, 3}, Dims{0, 3}, Dims{0, 1, 2, 3}}) {
      compare(x, dims);
    }
  }
  compare(bf16({16 * 8 + 1}).slice(0, 1, 16 * 8 + 1).view({16, 8}), {0});
  compare(bf16({5, 1, 8}).expand({5, 30, 8}), {1});
  compare(bf16({5, 1, 8}).expand({5, 30, 8}), {2});
  CHECK(ops::sum(make::zeros({0, 3}, DType::kBF16), {0}).to_vector<double>() ==
        std::vector<double>{0, 0, 0});
}

TEST_CASE("reduce: an operand that repeats its elements") {
  const Tensor x = f32({5, 1, 6}, 1).expand({5, 300, 6});
  for (const Dims& dims : {Dims{0}, Dims{1}, Dims{2}, Dims{0, 1}, Dims{1, 2}, Dims{0, 1, 2}}) {
    for (const Reduce op : kAll) {
      CHECK(error_of(ops::reduce(op, x, dims), ops::reduce(op, f64(x), dims)) < 1e-6);
    }
  }
  const Tensor top = ops::reduce(Reduce::kMax, x, {2}, true);
  const Tensor dy = f32({1, 1, 1}, 3).expand(top.shape());
  CHECK(error_of(ops::extremum_backward(x, top, dy),
                 ops::extremum_backward(f64(x), f64(top), f64(dy))) < 1e-6);
}

TEST_CASE("reduce: NaN wins, empty sums are zero") {
  for (const DType dtype : {DType::kF32, DType::kF64}) {
    for (const int64_t at : {0, 5, 40}) {
      Tensor x = random_tensor({3, 41}, 1, -1, 1, dtype);
      x.slice(0, 1, 2).slice(1, at, at + 1).fill(std::numeric_limits<double>::quiet_NaN());
      for (const Reduce op : kAll) {
        const auto rows = ops::reduce(op, x, {1}).to_vector<double>();
        CHECK(!std::isnan(rows[0]));
        CHECK(std::isnan(rows[1]));
        const auto columns = ops::reduce(op, x, {0}).to_vector<double>();
        CHECK(std::isnan(columns[size_t(at)]));
        CHECK(!std::isnan(columns[size_t(at == 0 ? 1 : at - 1)]));
        CHECK(std::isnan(ops::reduce(op, x).item()));
      }
      CHECK(ops::argmax(x, 1).to_vector<int64_t>()[1] == at);
    }
    CHECK(ops::sum(make::zeros({0, 3}, dtype), {0}).to_vector<double>() ==
          std::vector<double>{0, 0, 0});
    CHECK(ops::reduce(Reduce::kMax, make::zeros({0, 3}, dtype), {1}).shape() == Shape{0});
  }
}

TEST_CASE("reduce: sum_to undoes every broadcast") {
  struct Case {
    Shape big, small;
  };
  for (const Case& c : {Case{{4, 7, 5}, {5}}, Case{{4, 7, 5}, {1, 7, 1}}, Case{{4, 7, 5}, {}},
                        Case{{2, 3, 4, 5}, {3, 1, 1}}, Case{{2, 3, 4, 5}, {2, 3, 1, 1}},
                        Case{{1, 1, 6}, {6}}, Case{{1, 6}, {1, 1}}}) {
    const Tensor x = f32(c.big, 3);
    const Tensor y = ops::sum_to(x, c.small);
    CHECK(y.shape() == c.small);
    // <sum_to(x), v> == <x, expand(v)>: the adjoint.
    const Tensor v = f32(c.small, 4);
    const double left = ops::sum(ops::mul(f64(y), f64(v))).item();
    const double right = ops::sum(ops::mul(f64(x), f64(v).expand(c.big))).item();
    CHECK(std::abs(left - right) < 1e-6 * std::sqrt(double(x.numel())));
  }
  const Tensor same = f32({2, 3}, 1);
  CHECK(ops::sum_to(same, {2, 3}).shares_storage_with(same));
  const Tensor grid = f32({2, 5, 3, 3}, 2).channels_last();
  CHECK(error_of(ops::sum_to(grid, {5, 1, 1}), ops::sum_to(grid.contiguous(), {5, 1, 1})) < 1e-6);
}

TEST_CASE("reduce: argmax gives the first of equals") {
  const Tensor x = make::from<float>({2, 4}, {1, 3, 3, 0, -1, -1, -2, -1});
  CHECK(ops::argmax(x, 1).to_vector<int64_t>() == std::vector<int64_t>{1, 0});
  CHECK(ops::argmax(x, 0).to_vector<int64_t>() == std::vector<int64_t>{0, 0, 0, 0});
  CHECK(ops::argmax(f64(x), -1).to_vector<int64_t>() == std::vector<int64_t>{1, 0});
  const Tensor y = f32({3, 17, 5, 4}, 8);
  for (int dim = 0; dim < 4; ++dim) {
    const auto want = ops::argmax(f64(y), dim).to_vector<int64_t>();
    CHECK(ops::argmax(y, dim).to_vector<int64_t>() == want);
    CHECK(ops::argmax(y.channels_last(), dim).to_vector<int64_t>() == want);
  }
}

TEST_CASE("reduce: ties share an extremum's gradient") {
  const Tensor x = make::from<float>({2, 3}, {5, 5, 1, 2, 3, 4});
  const Tensor y = ops::reduce(Reduce::kMax, x, {1}, true);
  const Tensor dy = make::from<float>({2, 1}, {4, 6});
  const std::vector<double> want{2, 2, 0, 0, 0, 6};
  CHECK(ops::extremum_backward(x, y, dy).to_vector<double>() == want);
  CHECK(ops::extremum_backward(f64(x), f64(y), f64(dy)).to_vector<double>() == want);
  const Tensor g = f32({2, 5, 7, 3}, 1).channels_last();
  const Tensor top = ops::reduce(Reduce::kMin, g, {2, 3}, true), d = f32({2, 5, 1, 1}, 2);
  CHECK(error_of(ops::extremum_backward(g, top, d),
                 ops::extremum_backward(f64(g), f64(top), f64(d))) < 1e-6);
}

TEST_CASE("reduce: errors") {
  const Tensor x = make::zeros({2, 3});
  CHECK_ERROR(ops::sum(x, {2}), "sum: got dimension 2");
  CHECK_ERROR(ops::sum(x, {1, -1}), "sum: dimension 1 is listed twice");
  CHECK_ERROR(ops::sum(make::zeros({2}, DType::kI64)), "sum: got i64");
  CHECK_ERROR(ops::mean(make::zeros({0, 3}), {0}), "mean: got shape (0,3)");
  CHECK_ERROR(ops::sum_to(x, {4}), "sum_to: shape (2,3) is no broadcast of (4)");
  CHECK_ERROR(ops::sum_to(x, {1, 2, 3}), "sum_to: shape (2,3) is no broadcast of (1,2,3)");
  CHECK_ERROR(ops::argmax(make::zeros({3, 0}), 1), "argmax: got shape (3,0)");
  CHECK_ERROR(ops::extremum_backward(x, make::zeros({2}), make::zeros({2})),
              "extremum_backward: y has shape (2)");
}

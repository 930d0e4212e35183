#include "kintsugi/engine/ops/conv.h"

#include "kintsugi/engine/ops/elementwise.h"
#include "tests/support/compare.h"

using namespace kintsugi;
using namespace kintsugi::test;
using ops::Conv2dParams;

namespace {

struct Case {
  Shape x, weight;
  Conv2dParams params;
};

Case square(int64_t n, int64_t c, int64_t size, int64_t o, int64_t kernel, int64_t stride,
            int64_t padding, int64_t groups = 1) {
  return {{n, c, size, size},
          {o, c / groups, kernel, kernel},
          Conv2dParams::same(stride, padding, groups)};
}

// Every result against the reference in f64, which no fast kernel touches. Weights and their
// gradients are f32 always; their values are ones that tensor cores do not round.
void check_stored(const Case& at, const Storage& storage, double tolerance) {
  INFO("x " << at.x.str() << " weight " << at.weight.str() << " " << at.params.str() << " in "
            << name_of(storage.dtype));
  const Shape y_shape = at.params.output_shape(at.x, at.weight);
  const auto stored = [&](const Shape& shape, uint64_t seed) {
    return random_tensor(shape, seed).to(storage.dtype);
  };
  const auto f64 = [](const Tensor& t) { return t.to(DType::kF64); };
  const Tensor x = stored(at.x, 1), dy = stored(y_shape, 4);
  const Tensor w = stored(at.weight, 2).to(DType::kF32);
  const Tensor bias = random_tensor({at.weight[0]}, 3, -1, 1, DType::kF32);
  const double rounding = tolerance + storage.rounding;

  const Tensor y = ops::conv2d(x, w, bias, at.params);
  const Tensor want_y = ops::conv2d(f64(x), f64(w), f64(bias), at.params);
  CHECK(y.dtype() == storage.dtype);
  CHECK(y.is_channels_last());
  // A product of matrices may be rounded before its bias is added, and after.
  CHECK(error_of(y, want_y) < rounding + 2 * storage.rounding);
  CHECK(error_of(ops::conv2d(x, w, Tensor(), at.params),
                 ops::conv2d(f64(x), f64(w), Tensor(), at.params)) < rounding);

  Conv2dParams with_relu = at.params;
  with_relu.relu = true;
  CHECK(error_of(ops::conv2d(x, w, bias, with_relu), ops::unary(ops::Unary::kRelu, want_y)) <
        rounding + 2 * storage.rounding);

  const Tensor dx = ops::conv2d_backward_input(dy, w, at.x, at.params);
  CHECK(dx.dtype() == storage.dtype);
  CHECK(dx.is_channels_last());
  CHECK(error_of(dx, ops::conv2d_backward_input(f64(dy), f64(w), at.x, at.params)) < rounding);

  const auto got = ops::conv2d_backward_weight(x, dy, at.weight, true, at.params);
  const auto want = ops::conv2d_backward_weight(f64(x), f64(dy), at.weight, true, at.params);
  CHECK(got.dweight.dtype() == DType::kF32);
  CHECK(got.dbias.dtype() == DType::kF32);
  CHECK(got.dweight.is_contiguous());
  CHECK(error_of(got.dweight, want.dweight) < tolerance);
  CHECK(error_of(got.dbias, want.dbias) < tolerance);
  const auto bare = ops::conv2d_backward_weight(x, dy, at.weight, false, at.params);
  CHECK_FALSE(bare.dbias.defined());
  CHECK(error_of(bare.dweight, want.dweight) < tolerance);
}

// bf16 products are exact in f32, in which tensor cores add them up.
void check_against_reference(const Case& at, double tolerance = 3e-6) {
  for (const Storage& storage : storages()) {
    check_stored(at, storage, storage.dtype == DType::kBF16 ? 2e-4 : tolerance);
  }
}
void check_f32(const Case& at) {
  check_stored(at, {DType::kF32, 0}, 3e-6);
}

}  // namespace

TEST_CASE("conv2d: numbers by hand") {
  const Tensor x = make::from<double>({1, 1, 3, 3}, {1, 2, 3, 4, 5, 6, 7, 8, 9});
  const Tensor w = make::from<double>({1, 1, 2, 2}, {1, 0, 0, 10});
  const Tensor bias = make::from<double>({1}, {100});
  // y[i][j] = 100 + x[i][j] + 10 * x[i+1][j+1]
  CHECK(ops::conv2d(x, w, bias, {}).to_vector<double>() == std::vector<double>{151, 162, 184, 195});
  // A zero row above and a zero column to the left, stride 2.
  Conv2dParams params;
  params.stride = {2, 2};
  params.padding = {1, 0, 1, 0};
  CHECK(ops::conv2d(x, w, Tensor(), params).to_vector<double>() ==
        std::vector<double>{10, 30, 70, 95});
  // Each dy adds 1 at its own cell and 10 at the one below and to the right.
  const Tensor dy = make::from<double>({1, 1, 2, 2}, {1, 2, 3, 4});
  CHECK(ops::conv2d_backward_input(dy, w, x.shape(), {}).to_vector<double>() ==
        std::vector<double>{1, 2, 0, 3, 14, 20, 0, 30, 40});
  const auto grads = ops::conv2d_backward_weight(x, dy, w.shape(), true, {});
  CHECK(grads.dweight.to_vector<double>() == std::vector<double>{37, 47, 67, 77});
  CHECK(grads.dbias.item() == 10);
}

TEST_CASE("conv2d: groups see their own channels only") {
  const Tensor x = make::from<double>({1, 4, 1, 1}, {1, 2, 3, 4});
  const Tensor w = make::from<double>({2, 2, 1, 1}, {1, 10, 100, 1000});
  CHECK(ops::conv2d(x, w, Tensor(), Conv2dParams::same(1, 0, 2)).to_vector<double>() ==
        std::vector<double>{21, 4300});
}

TEST_CASE("conv2d: dense, fast against reference") {
  for (const int64_t c : {1, 3, 5, 16, 17}) {
    for (const int64_t o : {1, 7, 16, 33}) {
      check_against_reference(square(2, c, 9, o, 3, 1, 1));
      check_against_reference(square(2, c, 8, o, 1, 1, 0));
      check_against_reference(square(1, c, 7, o, 3, 2, 1));
    }
  }
  check_against_reference(square(2, 3, 20, 8, 7, 2, 3));
  check_against_reference(square(3, 1, 28, 16, 5, 1, 2));
  check_against_reference(square(1, 65, 5, 33, 3, 1, 1));
  check_against_reference(square(1, 3, 16, 24, 4, 4, 0));  // a patch embedding
  check_against_reference(square(2, 4, 1, 8, 1, 1, 0));
  check_against_reference(square(1, 8, 5, 8, 5, 1, 0));
  Case odd{{2, 6, 9, 12}, {8, 6, 3, 2}, {}};
  odd.params.stride = {1, 3};
  odd.params.padding = {0, 2, 1, 0};
  odd.params.dilation = {2, 1};
  check_against_reference(odd);
}

TEST_CASE("conv2d: depthwise, fast against reference") {
  for (const int64_t c : {1, 2, 3, 4, 7, 8, 12, 15, 16, 17, 24, 31, 36, 40, 65, 72, 130}) {
    check_against_reference(square(2, c, 9, c, 3, 1, 1, c));
    check_against_reference(square(2, c, 8, c, 3, 2, 1, c));
  }
  for (const int64_t kernel : {1, 2, 3, 4, 5, 6, 7, 9}) {
    for (const int64_t size : {1, 3, 4, 7, 8, 14, 17, 28}) {
      for (const int64_t stride : {1, 2, 3}) {
        const Case at = square(2, 20, size, 20, kernel, stride, kernel / 2, 20);
        if (size % 7 == 0)
          check_against_reference(at);
        else
          check_f32(at);
      }
    }
    check_against_reference(square(1, 16, 12, 16, kernel, 1, 0, 16));
    check_against_reference(square(1, 16, 12, 16, kernel, 1, kernel + 1, 16));
  }
  Case uneven{{2, 24, 11, 14}, {24, 1, 5, 3}, Conv2dParams::same(1, 0, 24)};
  uneven.params.stride = {2, 1};
  uneven.params.padding = {1, 2, 0, 3};
  check_against_reference(uneven);
  uneven.params.stride = {1, 1};
  uneven.params.dilation = {2, 3};
  check_against_reference(uneven);
  uneven.params.stride = {2, 2};
  check_against_reference(uneven);
  check_against_reference(square(1, 68, 19, 68, 3, 1, 1, 68));  // rows of more than a block
}

TEST_CASE("conv2d: small groups, fast against reference") {
  for (const int64_t width : {2, 3, 4, 5, 8, 12, 16, 24}) {
    for (const int64_t groups : {2, 3, 4, 7}) {
      const Case even = square(2, width * groups, 7, width * groups, 3, 1, 1, groups);
      const Case uneven = square(1, width * groups, 8, 2 * groups, 3, 2, 1, groups);
      if (groups == 3) {
        check_against_reference(even);
        check_against_reference(uneven);
      } else {
        check_f32(even);
        check_f32(uneven);
      }
    }
  }
  check_against_reference(square(2, 6, 9, 18, 3, 1, 1, 6));  // three filters a channel
  check_against_reference(square(2, 8, 9, 16, 5, 2, 2, 8));
  check_against_reference(square(1, 128, 14, 128, 3, 1, 1, 32));
}

TEST_CASE("conv2d: several tiles each way, in every precision") {
  Case uneven{{1, 21, 8, 10}, {10, 21, 3, 2}, {}};  // no extent a multiple of anything
  uneven.params.stride = {1, 2};
  uneven.params.padding = {0, 2, 1, 0};
  uneven.params.dilation = {2, 1};
  Case far{{1, 8, 9, 12}, {12, 4, 3, 4}, {}};  // a stride that shares a factor with the dilation
  far.params.stride = {2, 4};
  far.params.padding = {5, 1, 0, 7};
  far.params.dilation = {2, 2};
  far.params.groups = 2;
  const Case cases[] = {square(2, 4, 18, 20, 3, 1, 1), square(1, 68, 5, 12, 1, 1, 0),
                        square(1, 12, 5, 68, 1, 1, 0), square(1, 3, 11, 40, 7, 2, 3),
                        square(1, 20, 9, 25, 2, 3, 0, 5), uneven, far};
  for (const Case& at : cases) check_against_reference(at);
  // A device rounds what it multiplies in f32; the CPU does not, whatever it is told.
  const bool rounds = kTestDevice.type == DeviceType::kCuda;
  for (const auto& [math, tolerance] :
       {std::pair{Math::kF32, 3e-6}, {Math::kTF32, 1e-3}, {Math::kBF16, 1e-3}}) {
    ScopedSet set(Context::current().math, math);
    for (const Case& at : cases) check_stored(at, {DType::kF32, 0}, rounds ? tolerance : 3e-6);
    const auto gradient = [&] {
      const Tensor x = random_tensor(cases[0].x, 1, -1, 1, DType::kF32);
      const Tensor dy = random_tensor({2, 20, 18, 18}, 2, -1, 1, DType::kF32);
      return ops::conv2d_backward_weight(x, dy, cases[0].weight, true, cases[0].params).dweight;
    };
    CHECK(gradient().to_vector<float>() == gradient().to_vector<float>());
  }
}

TEST_CASE("conv2d: tiles of every size, sums in parts, groups taken together") {
  const Case phases = square(1, 128, 9, 64, 3, 2, 1);  // long sums, each over some of the taps
  Case apart{{1, 104, 8, 9}, {40, 104, 3, 2}, {}};
  apart.params.stride = {1, 2};
  apart.params.padding = {4, 3, 0, 5};
  apart.params.dilation = {2, 1};
  for (const Case& at :
       {square(1, 16, 18, 72, 3, 1, 1), square(2, 8, 18, 40, 3, 1, 1),
        square(1, 24, 13, 136, 2, 2, 0), square(1, 3, 24, 66, 4, 4, 0),
        square(2, 16, 18, 16, 3, 1, 1), square(1, 128, 7, 40, 3, 1, 1),
        square(1, 72, 7, 37, 3, 1, 1), square(1, 136, 4, 9, 3, 1, 1),
        square(2, 160, 6, 40, 1, 2, 0), square(2, 40, 6, 40, 1, 2, 0),
        square(1, 32, 9, 32, 3, 1, 1, 8),
        square(1, 32, 9, 64, 3, 2, 1, 8),
        square(1, 36, 6, 60, 3, 1, 1, 12), square(1, 31, 5, 62, 3, 1, 1, 31),
        square(1, 62, 5, 62, 3, 1, 1, 31), phases, apart}) {
    check_against_reference(at);
  }
}

TEST_CASE("conv2d: operands are rounded to what the context says, and bf16 ones as they are") {
  if (kTestDevice.type != DeviceType::kCuda) return;
  Conv2dParams params;
  params.padding = {0, 0, 1, 0};
  const auto run = [&](Math math) {
    ScopedSet set(Context::current().math, math);
    const Tensor x = make::full({1, 8, 1, 1}, 1 + 0x1p-9);
    const Tensor w = make::full({1, 8, 1, 2}, 1 + 0x1p-12);
    return ops::conv2d(x, w, Tensor(), params).to_vector<float>()[0];
  };
  CHECK(run(Math::kF32) == float(8 * (1 + 0x1p-9) * (1 + 0x1p-12)));
  CHECK(run(Math::kTF32) == float(8 * (1 + 0x1p-9)));
  CHECK(run(Math::kBF16) == float(8 * (1 + 0x1p-9)));
  // A weight that bf16 rounds to 1, whatever the context says of f32.
  const Tensor x = make::full({1, 8, 1, 1}, 1, DType::kBF16);
  const Tensor w = make::full({1, 8, 2, 2}, 1 + 0x1p-9);
  const Tensor y = ops::conv2d(x, w, Tensor(), Conv2dParams::same(1, 1));
  CHECK(y.to_vector<double>() == std::vector<double>(4, 8));
}

TEST_CASE("conv2d: bf16 tiles enough to keep a large device busy, which takes the widest then") {
  if (kTestDevice.type != DeviceType::kCuda) return;
  for (const int64_t outputs : {72, 40}) {  // 100 tiles of 128 pixels
    Case at{{1, 8, 113, 113}, {outputs, 8, 1, 2}, {}};
    at.params.padding = {0, 0, 0, 1};
    check_stored(at, {DType::kBF16, 0x1p-8}, 2e-4);
  }
}

TEST_CASE("conv2d: any strides in memory") {
  const Conv2dParams params = Conv2dParams::same(1, 1);
  std::vector<Storage> dtypes = storages();
  dtypes.push_back({DType::kF64, 0});
  for (const auto& [dtype, rounding] : dtypes) {
    const double tolerance = 1e-6 + rounding;
    const auto stored = [&, type = dtype](const Shape& shape, uint64_t seed) {
      return random_tensor(shape, seed).to(type);
    };
    const DType of_weight = dtype == DType::kF64 ? dtype : DType::kF32;
    const Tensor x = stored({2, 5, 6, 7}, 1);
    const Tensor w = random_tensor({4, 5, 3, 3}, 2, -1, 1, of_weight);
    const Tensor want = ops::conv2d(x, w, Tensor(), params);
    CHECK(error_of(ops::conv2d(x.channels_last(), w, Tensor(), params), want) < tolerance);
    const Tensor wide = stored({2, 10, 6, 7}, 3);
    Tensor every_other = wide.slice(1, 0, 10, 2);
    every_other.copy_from(x);
    CHECK(error_of(ops::conv2d(every_other, w, Tensor(), params), want) < tolerance);
    const Tensor turned = w.permute({2, 3, 0, 1}).contiguous().permute({2, 3, 0, 1});
    CHECK(error_of(ops::conv2d(x, turned, Tensor(), params), want) < tolerance);
    const Tensor dy = stored({2, 4, 6, 7}, 5);
    const Tensor dx = ops::conv2d_backward_input(dy, w, x.shape(), params);
    CHECK(error_of(ops::conv2d_backward_input(dy.channels_last(), turned, x.shape(), params), dx) <
          tolerance);
    const auto grads = ops::conv2d_backward_weight(x, dy, w.shape(), true, params);
    const auto moved =
        ops::conv2d_backward_weight(every_other, dy.channels_last(), w.shape(), true, params);
    CHECK(error_of(moved.dweight, grads.dweight) < tolerance);
    CHECK(error_of(moved.dbias, grads.dbias) < tolerance);
    // One value for all cells: strides of 0.
    const Tensor flat = stored({1, 1, 1, 1}, 6).expand({2, 5, 6, 7});
    CHECK(error_of(ops::conv2d(flat, w, Tensor(), params),
                   ops::conv2d(flat.clone(), w, Tensor(), params)) < tolerance);
  }
}

TEST_CASE("conv2d: an empty batch") {
  for (const Storage& storage : storages()) {
    for (const int64_t groups : {1, 4}) {
      const Conv2dParams params = Conv2dParams::same(1, 1, groups);
      const Tensor x = make::empty({0, 4, 5, 5}, storage.dtype),
                   w = random_tensor({4, 4 / groups, 3, 3}, 1, -1, 1, DType::kF32);
      const Tensor y = ops::conv2d(x, w, Tensor(), params);
      CHECK(y.shape() == Shape{0, 4, 5, 5});
      CHECK(ops::conv2d_backward_input(y, w, x.shape(), params).shape() == x.shape());
      const auto grads = ops::conv2d_backward_weight(x, y, w.shape(), true, params);
      CHECK(grads.dweight.to_vector<float>() == std::vector<float>(size_t(w.numel()), 0.0f));
      CHECK(grads.dbias.to_vector<float>() == std::vector<float>(4, 0.0f));
    }
  }
}

TEST_CASE("conv2d: NaN reaches every cell whose window holds it, and no other") {
  for (const Storage& storage : storages()) {
    for (const int64_t groups : {1, 16}) {
      Tensor x = random_tensor({1, 16, 9, 9}, 1).to(storage.dtype).channels_last();
      x.slice(1, 3, 4).slice(2, 4, 5).slice(3, 4, 5).fill(NAN);
      const Tensor w = random_tensor({16, 16 / groups, 3, 3}, 2, 0.5, 1, DType::kF32);
      const Tensor y = ops::conv2d(x, w, Tensor(), Conv2dParams::same(1, 1, groups));
      const auto values = y.to_vector<double>();
      for (int64_t c = 0; c < 16; ++c) {
        for (int64_t i = 0; i < 9; ++i) {
          for (int64_t j = 0; j < 9; ++j) {
            const bool near = std::abs(i - 4) <= 1 && std::abs(j - 4) <= 1;
            CHECK(std::isnan(values[size_t((c * 9 + i) * 9 + j)]) ==
                  (near && (groups == 1 || c == 3)));
          }
        }
      }
    }
  }
}

TEST_CASE("conv2d: the same bits for the same threads, and right for any number") {
  Context& context = Context::current();
  const int before = context.threads();
  for (const Case& at : {square(3, 24, 14, 24, 5, 1, 2, 24), square(3, 16, 9, 24, 3, 2, 1),
                         square(1, 16, 12, 16, 3, 1, 1, 16)}) {
    for (const int threads : {1, 2, 3, 5}) {
      context.set_threads(threads);
      check_against_reference(at);
      const Tensor x = random_tensor(at.x, 1, -1, 1, DType::kF32);
      const Tensor dy =
          random_tensor(at.params.output_shape(at.x, at.weight), 2, -1, 1, DType::kF32);
      const auto run = [&] {
        return ops::conv2d_backward_weight(x, dy, at.weight, true, at.params).dweight;
      };
      CHECK(run().to_vector<float>() == run().to_vector<float>());
    }
  }
  context.set_threads(before);
}

TEST_CASE("conv2d: f32 takes no reference kernel") {
  Context& context = Context::current();
  context.fallbacks.clear();
  for (const Case& at :
       {square(1, 3, 32, 16, 7, 2, 3), square(1, 16, 8, 32, 1, 1, 0), square(1, 16, 8, 16, 3, 1, 1),
        square(1, 24, 8, 24, 7, 1, 3, 24), square(1, 24, 8, 24, 3, 2, 1, 24),
        square(1, 16, 8, 16, 3, 1, 1, 4), square(1, 48, 8, 48, 3, 2, 1, 2)}) {
    check_against_reference(at);
  }
  for (const auto& [op, runs] : context.fallbacks) {
    MESSAGE(op << " fell back " << runs << " times");
  }
  CHECK(context.fallbacks.empty());
}

TEST_CASE("conv2d: shapes alone on meta") {
  const Tensor x = Tensor::empty({8, 3, 224, 224}, DType::kF32, kMeta);
  const Tensor w = Tensor::empty({64, 3, 7, 7}, DType::kF32, kMeta);
  const Conv2dParams params = Conv2dParams::same(2, 3);
  const Tensor y = ops::conv2d(x, w, Tensor(), params);
  CHECK(y.is_meta());
  CHECK(y.shape() == Shape{8, 64, 112, 112});
  CHECK(ops::conv2d_backward_input(y, w, x.shape(), params).shape() == x.shape());
  CHECK(ops::conv2d_backward_weight(x, y, w.shape(), false, params).dweight.shape() == w.shape());
}

TEST_CASE("conv2d: errors name the op, what was got and what was expected") {
  const Tensor x = make::zeros({1, 4, 5, 5}), w = make::zeros({6, 4, 3, 3});
  const auto run = [&](const Tensor& a, const Tensor& b, const Conv2dParams& p = {}) {
    return ops::conv2d(a, b, Tensor(), p);
  };
  CHECK_ERROR(run(make::zeros({4, 5, 5}), w), "conv2d: got an input of shape (4,5,5)");
  CHECK_ERROR(run(x, make::zeros({6, 4})), "conv2d: got a weight of shape (6,4)");
  CHECK_ERROR(run(x, make::zeros({6, 3, 3, 3})), "got 4 input channels, expected 3");
  CHECK_ERROR(run(x, make::zeros({5, 2, 3, 3}), Conv2dParams::same(1, 0, 2)),
              "got 5 output channels, expected a multiple of 2 groups");
  CHECK_ERROR(run(x, make::zeros({6, 4, 6, 3})), "the kernel spans 6 rows");
  CHECK_ERROR(run(x, make::zeros({6, 4, 3, 6})), "the kernel spans 6 columns");
  CHECK_ERROR(run(x, w, Conv2dParams::same(0, 0)), "got stride 0, expected at least 1");
  CHECK_ERROR(run(x, w, Conv2dParams::same(1, -1)), "got padding -1, expected at least 0");
  CHECK_ERROR(run(x, w, Conv2dParams::same(1, 0, 0)), "got groups 0, expected at least 1");
  Conv2dParams flat;
  flat.dilation = {1, 0};
  CHECK_ERROR(run(x, w, flat), "got dilation 0, expected at least 1");
  CHECK_ERROR(run(x, w.to(DType::kF64)), "got f32 and f64");
  CHECK_ERROR(run(x.to(DType::kI32), w), "got i32, expected f32 or f64");
  CHECK_ERROR(ops::conv2d(x, w, make::zeros({5}), {}), "bias has shape (5), expected (6)");
  CHECK_ERROR(ops::conv2d_backward_input(make::zeros({1, 6, 4, 4}), w, x.shape(), {}),
              "conv2d_backward_input: dy has shape (1,6,4,4), expected (1,6,3,3)");
  CHECK_ERROR(ops::conv2d_backward_weight(x, make::zeros({1, 6, 4, 4}), w.shape(), false, {}),
              "conv2d_backward_weight: dy has shape (1,6,4,4), expected (1,6,3,3)");
}

#include "kintsugi/engine/ops/layout.h"

#include "kintsugi/engine/ops/elementwise.h"
#include "kintsugi/engine/ops/reduce.h"
#include "tests/support/compare.h"

using namespace kintsugi;
using namespace kintsugi::test;

namespace {

// 0, 1, 2, ... so that every element names its place.
Tensor count_up(const Shape& shape, DType dtype = DType::kF32) {
  std::vector<double> values(size_t(shape.numel()));
  for (size_t i = 0; i < values.size(); ++i) values[i] = double(i);
  return make::from<double>(shape, values).to(dtype);
}

double dot(const Tensor& a, const Tensor& b) {
  return ops::sum(ops::mul(a.to(DType::kF64), b.to(DType::kF64))).item();
}

using V = std::vector<double>;

}  // namespace

TEST_CASE("layout: views share storage and name the right elements") {
  const Tensor x = count_up({2, 3, 4});
  CHECK(ops::reshape(x, {6, -1}).shape() == Shape{6, 4});
  CHECK(ops::reshape(x, {6, 4}).shares_storage_with(x));
  CHECK(ops::permute(x, {2, 0, 1}).to_vector<double>() ==
        V{0, 4, 8, 12, 16, 20, 1, 5, 9, 13, 17, 21, 2, 6, 10, 14, 18, 22, 3, 7, 11, 15, 19, 23});
  CHECK(ops::transpose(x, 0, -1).shape() == Shape{4, 3, 2});
  CHECK(ops::slice(x, 1, 0, 3, 2).to_vector<double>() ==
        V{0, 1, 2, 3, 8, 9, 10, 11, 12, 13, 14, 15, 20, 21, 22, 23});
  CHECK(ops::slice(x, -1, 1, 3).shares_storage_with(x));
  CHECK(ops::expand(count_up({3, 1}), {2, 3, 2}).to_vector<double>() ==
        V{0, 0, 1, 1, 2, 2, 0, 0, 1, 1, 2, 2});
  // No view fits: a copy in row-major order of the shape.
  const Tensor grid = count_up({2, 3, 2, 2}).channels_last();
  const Tensor flat = ops::reshape(grid, {2, 12});
  CHECK(!flat.shares_storage_with(grid));
  CHECK(error_of(flat, count_up({2, 12})) == 0);
}

TEST_CASE("layout: copies between all orders of memory, of every element size") {
  for (const DType dtype :
       {DType::kF32, DType::kF64, DType::kI64, DType::kI32, DType::kU8, DType::kBF16}) {
    for (const Shape& shape : {Shape{2, 3, 5, 7}, Shape{1, 33, 4, 65}, Shape{3, 40, 37, 2}}) {
      const Tensor x = ops::reshape(random_tensor({shape.numel()}, 5, 0, 200), shape).to(dtype);
      const auto want = x.to_vector<double>();
      Dims order{0, 1, 2, 3};
      do {
        Dims back = Dims::filled(4, 0);
        for (int i = 0; i < 4; ++i) back[int(order[i])] = i;
        // y has x's elements and shape, with memory in the order `order`.
        const Tensor y = x.permute(order).contiguous().permute(back);
        CHECK(y.to_vector<double>() == want);
        Tensor z = x.channels_last().clone();
        z.fill(0);
        z.copy_from(y);
        CHECK(z.to_vector<double>() == want);
      } while (std::next_permutation(order.begin(), order.end()));
    }
  }
  const Tensor big = count_up({2, 129, 61, 67});
  CHECK(error_of(big.channels_last().contiguous(), big) == 0);
  CHECK(error_of(big.transpose(1, 3).contiguous().transpose(1, 3), big) == 0);
  const Tensor cells = count_up({257, 511});
  CHECK(error_of(cells.transpose(0, 1).contiguous().transpose(0, 1), cells) == 0);
}

TEST_CASE("layout: concat joins along any dimension, in any mixture of layouts") {
  const Tensor a = count_up({2, 1, 2}), b = count_up({2, 2, 2});
  CHECK(ops::concat({a, b}, 1).to_vector<double>() == V{0, 1, 0, 1, 2, 3, 2, 3, 4, 5, 6, 7});
  CHECK(ops::concat({b, b}, 0).shape() == Shape{4, 2, 2});
  CHECK(ops::concat({b}, -1).to_vector<double>() == b.to_vector<double>());
  const Tensor x = random_tensor({2, 5, 3, 4}, 1), y = random_tensor({2, 7, 3, 4}, 2);
  const Tensor plain = ops::concat({x, y, x}, 1);
  for (const Tensor& grid : {ops::concat({x.channels_last(), y.channels_last(), x}, 1),
                             ops::concat({x, y.channels_last(), x}, 1)}) {
    CHECK(grid.is_channels_last());
    CHECK(error_of(grid, plain) == 0);
  }
  CHECK(error_of(plain.slice(1, 5, 12), y) == 0);
  CHECK_ERROR(ops::concat({}, 0), "concat: got no tensors");
  CHECK_ERROR(ops::concat({a, count_up({3, 1, 2})}, 1),
              "concat: shapes (2,1,2) and (3,1,2) differ outside dimension 1");
  CHECK_ERROR(ops::concat({a, a}, 3), "concat: got dimension 3");
  CHECK_ERROR(ops::concat({a, b.to(DType::kF64)}, 1), "concat: got f32 and f64");
}

TEST_CASE("layout: pad adds and crops, each dimension on its own") {
  const Tensor x = count_up({2, 3});
  CHECK(ops::pad(x, {{1, 1, 2}}, -1).to_vector<double>() ==
        V{-1, 0, 1, 2, -1, -1, -1, 3, 4, 5, -1, -1});
  CHECK(ops::pad(x, {{0, 1, 0}, {1, -1, 1}}).to_vector<double>() == V{0, 0, 0, 1, 2, 0, 4, 5, 0});
  CHECK(ops::pad(x, {{-1, -1, -1}}).to_vector<double>() == V{1, 4});
  CHECK(ops::pad(x, {{0, -2, 3}}, 7).to_vector<double>() == V(9, 7));
  CHECK(ops::pad(x, {}).to_vector<double>() == x.to_vector<double>());
  const Tensor grid = random_tensor({2, 5, 3, 4}, 1).channels_last();
  const Tensor padded = ops::pad(grid, {{2, 1, 1}, {3, 0, 2}, {1, 2, 2}});
  CHECK(padded.is_channels_last());
  CHECK(padded.shape() == Shape{2, 9, 5, 6});
  CHECK(error_of(padded.slice(1, 2, 7).slice(2, 1, 4).slice(3, 0, 4), grid) == 0);
  CHECK(dot(padded, padded) == doctest::Approx(dot(grid, grid)));
  CHECK_ERROR(ops::pad(x, {{1, -2, -2}}), "crops more than there is");
  CHECK_ERROR(ops::pad(x, {{1, 1, 1}, {-1, 1, 1}}), "pad: dimension 1 is listed twice");
  CHECK_ERROR(ops::pad(x, {{2, 1, 1}}), "pad: got dimension 2");
}

TEST_CASE("layout: roll turns around, forwards and backwards") {
  const Tensor x = count_up({2, 3});
  CHECK(ops::roll(x, {1}, {1}).to_vector<double>() == V{2, 0, 1, 5, 3, 4});
  CHECK(ops::roll(x, {-1}, {1}).to_vector<double>() == V{1, 2, 0, 4, 5, 3});
  CHECK(ops::roll(x, {1, 4}, {0, 1}).to_vector<double>() == V{5, 3, 4, 2, 0, 1});
  CHECK(ops::roll(x, {0, 3}, {0, 1}).to_vector<double>() == x.to_vector<double>());
  const Tensor grid = random_tensor({2, 5, 7, 7}, 1).channels_last();
  const Tensor rolled = ops::roll(grid, {-3, 2}, {2, 3});
  CHECK(rolled.is_channels_last());
  CHECK(error_of(ops::roll(rolled, {3, -2}, {2, 3}), grid) == 0);
  CHECK(ops::roll(make::zeros({0, 3}), {1}, {0}).shape() == Shape{0, 3});
  CHECK_ERROR(ops::roll(x, {1}, {0, 1}), "roll: got 1 shifts for 2 dimensions");
  CHECK_ERROR(ops::roll(x, {1, 1}, {1, -1}), "roll: dimension 1 is listed twice");
}

TEST_CASE("layout: gather takes rows, its backward adds them up") {
  const Tensor x = count_up({3, 2}), rows = make::from<int64_t>({4}, {2, 0, 2, 1});
  CHECK(ops::gather(x, 0, rows).to_vector<double>() == V{4, 5, 0, 1, 4, 5, 2, 3});
  CHECK(ops::gather(x, 1, make::from<int64_t>({3}, {1, 1, 0})).to_vector<double>() ==
        V{1, 1, 0, 3, 3, 2, 5, 5, 4});
  CHECK(ops::gather_backward(count_up({4, 2}), {3, 2}, 0, rows).to_vector<double>() ==
        V{2, 3, 6, 7, 4, 6});
  const Tensor grid = random_tensor({2, 5, 3, 4}, 1).channels_last();
  for (int dim = 0; dim < 4; ++dim) {
    const Tensor at = make::from<int64_t>({5}, {1, 0, 1, 1, 0});
    const Tensor y = ops::gather(grid, dim, at);
    const Tensor v = random_tensor(y.shape(), 2);
    for (int i = 0; i < 5; ++i) {
      const int64_t from = at.data<int64_t>()[i];
      CHECK(error_of(y.slice(dim, i, i + 1), grid.slice(dim, from, from + 1)) == 0);
    }
    const Tensor back =
        ops::gather_backward(v.transpose(0, 1).contiguous().transpose(0, 1), grid.shape(), dim, at);
    CHECK(dot(y, v) == doctest::Approx(dot(grid, back)).epsilon(1e-12));
  }
  const Tensor beyond = make::from<int64_t>({2}, {0, 3}), before = make::from<int64_t>({1}, {-1});
  if (kTestDevice == kCpu) {
    CHECK_ERROR(ops::gather(x, 0, beyond), "gather: index 3 at position 1, expected 0 to 2");
    CHECK_ERROR(ops::gather(x, 0, before), "gather: index -1");
  } else {
    for (const Tensor& rows : {beyond, before}) {
      const auto last = ops::gather(x, 0, rows).slice(0, rows.size(0) - 1, rows.size(0));
      for (const double value : last.to_vector<double>()) CHECK(std::isnan(value));
    }
  }
  CHECK_ERROR(ops::gather(x, 0, x), "gather: got indices f32 of shape (3,2)");
}

TEST_CASE("layout: gather moves elements of any size, its backward adds along any dimension") {
  Context::current().fallbacks.clear();
  const Tensor x = random_tensor({3, 37, 140}, 1, -100, 100);
  for (const DType dtype : {DType::kF32, DType::kF64, DType::kF16, DType::kI32, DType::kU8}) {
    const Tensor a = dtype == DType::kU8 ? random_tensor(x.shape(), 1, 0, 100).to(dtype) : x.to(dtype);
    for (const auto& [start, stop] : {std::pair{0, 140}, std::pair{0, 6}, std::pair{3, 8}, std::pair{1, 2}}) {
      const Tensor part = a.slice(2, start, stop);
      const Tensor y = ops::gather(part, 1, make::from<int64_t>({3}, {36, 0, 36}));
      CHECK(error_of(y.slice(1, 0, 1), part.slice(1, 36, 37)) == 0);
      CHECK(error_of(y.slice(1, 1, 2), part.slice(1, 0, 1)) == 0);
      CHECK(error_of(y.slice(1, 2, 3), part.slice(1, 36, 37)) == 0);
    }
  }
  for (int dim = 0; dim < 3; ++dim) {
    std::vector<int64_t> at;
    for (int64_t i = 0; i < 101; ++i) at.push_back(i * i % x.size(dim));
    const Tensor indices = make::from<int64_t>({101}, at);
    Shape shape = x.shape();
    shape[dim] = 101;
    const Tensor dy = random_tensor(shape, 2);
    const Tensor want = ops::gather_backward(dy, x.shape(), dim, indices);
    const Tensor f32 = dy.to(DType::kF32);
    CHECK(error_of(ops::gather_backward(f32, x.shape(), dim, indices), want) < 1e-6);
    if (kTestDevice.type == DeviceType::kCuda) {
      const int other = dim == 2 ? 1 : 2;
      for (const int64_t length : {24, 9}) {
        const Tensor part = dy.to(DType::kBF16).slice(other, 0, length);
        Shape small = x.shape();
        small[other] = length;
        const Tensor got = ops::gather_backward(part, small, dim, indices);
        CHECK(got.dtype() == DType::kBF16);
        CHECK(error_of(got, ops::gather_backward(part.to(DType::kF64), small, dim, indices)) <
              4e-3);
      }
    }
    CHECK(error_of(ops::gather_backward(f32.slice(dim, 0, 0), x.shape(), dim,
                                        indices.slice(0, 0, 0)),
                   make::zeros(x.shape())) == 0);
    const Tensor every = make::zeros({202}, DType::kI64).slice(0, 0, 202, 2);
    Tensor(every).copy_from(indices);
    CHECK(error_of(ops::gather(x.to(DType::kF32), dim, every), ops::gather(x, dim, indices)) < 1e-6);
  }
  CHECK(ops::gather(x, 0, make::zeros({0}, DType::kI64)).shape() == Shape{0, 37, 140});
  CHECK(Context::current().fallbacks.empty());
}

TEST_CASE("layout: slice_backward puts the gradient back among zeros") {
  CHECK(ops::slice_backward(count_up({2, 2}), {2, 5}, 1, 1, 2).to_vector<double>() ==
        V{0, 0, 0, 1, 0, 0, 2, 0, 3, 0});
  CHECK(ops::slice_backward(count_up({1, 3}), {3, 3}, 0, 1, 1).to_vector<double>() ==
        V{0, 0, 0, 0, 1, 2, 0, 0, 0});
  const Tensor dy = random_tensor({2, 3, 4, 4}, 1).channels_last();
  const Tensor dx = ops::slice_backward(dy, {2, 8, 4, 4}, 1, 4, 1);
  CHECK(dx.is_channels_last());
  CHECK(error_of(dx.slice(1, 4, 7), dy) == 0);
  CHECK(dot(dx, dx) == doctest::Approx(dot(dy, dy)));
  CHECK_ERROR(ops::slice_backward(dy, {2, 6, 4, 4}, 1, 4, 1), "slice_backward: 3 elements from 4");
  CHECK_ERROR(ops::slice_backward(dy, {2, 8, 4, 5}, 1, 4, 1), "slice_backward: dy has shape");
}

TEST_CASE("layout: grids and tokens are the same bytes") {
  const Tensor grid = random_tensor({2, 5, 3, 4}, 1).channels_last();
  const Tensor tokens = ops::grid_to_tokens(grid);
  CHECK(tokens.shape() == Shape{2, 12, 5});
  CHECK(tokens.is_contiguous());
  CHECK(tokens.shares_storage_with(grid));
  CHECK(error_of(tokens, ops::grid_to_tokens(grid.contiguous())) == 0);
  const Tensor back = ops::tokens_to_grid(tokens, 3, 4);
  CHECK(back.shares_storage_with(grid));
  CHECK(back.is_channels_last());
  CHECK(error_of(back, grid) == 0);
  // Behind a class token the tokens are no longer side by side.
  const Tensor part = random_tensor({2, 13, 5}, 2).slice(1, 1, 13);
  const Tensor cut = ops::tokens_to_grid(part, 4, 3);
  CHECK(cut.is_channels_last());
  CHECK(error_of(ops::grid_to_tokens(cut), part) == 0);
  CHECK_ERROR(ops::tokens_to_grid(tokens, 3, 3), "tokens_to_grid: got (2,12,5), expected 9 tokens");
  CHECK_ERROR(ops::grid_to_tokens(tokens), "grid_to_tokens: got shape (2,12,5)");
}

TEST_CASE("layout: cast keeps the order, contiguous and channels_last change it only if needed") {
  const Tensor x = random_tensor({2, 5, 3, 4}, 1).channels_last();
  const Tensor f = ops::cast(x, DType::kF32);
  CHECK(f.dtype() == DType::kF32);
  CHECK(f.is_channels_last());
  CHECK(error_of(f, x) < 1e-7);
  CHECK(ops::cast(x, DType::kF64).shares_storage_with(x));
  CHECK(ops::channels_last(x).shares_storage_with(x));
  CHECK(ops::contiguous(x).is_contiguous());
  CHECK(error_of(ops::contiguous(x), x) == 0);
  CHECK(ops::contiguous(ops::contiguous(x)).is_contiguous());
}

TEST_CASE("layout: shape-only tensors go through every operator") {
  const Tensor x = Tensor::empty({2, 8, 4, 4}, DType::kF32, kMeta, MemoryFormat::kChannelsLast);
  CHECK(ops::concat({x, x}, 1).shape() == Shape{2, 16, 4, 4});
  CHECK(ops::pad(x, {{2, 1, 1}}).shape() == Shape{2, 8, 6, 4});
  CHECK(ops::roll(x, {1}, {2}).is_meta());
  CHECK(ops::grid_to_tokens(x).shape() == Shape{2, 16, 8});
  CHECK(ops::reshape(x, {2, -1}).shape() == Shape{2, 128});
  CHECK(ops::gather(x, 0, Tensor::empty({3}, DType::kI64, kMeta)).shape() == Shape{3, 8, 4, 4});
}

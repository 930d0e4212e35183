#include "kintsugi/engine/core/tensor.h"

#include <cmath>

#include "tests/support/compare.h"

using namespace kintsugi;
using namespace kintsugi::test;

namespace {

using V = std::vector<double>;

Tensor count_up(const Shape& shape) {
  V values(size_t(shape.numel()));
  for (size_t i = 0; i < values.size(); ++i) values[i] = double(i);
  return Tensor::from<double>(shape, values);
}

}  // namespace

TEST_CASE("tensor: what an undefined and an empty one answer") {
  const Tensor none;
  CHECK(!none.defined());
  CHECK_ERROR(none.raw(), "tensor: undefined");
  const Tensor empty = Tensor::zeros({0, 3});
  CHECK(empty.numel() == 0);
  CHECK(empty.to_vector<float>().empty());
  CHECK(empty.is_contiguous());
  CHECK(empty.is_dense());
  CHECK(Tensor::full({}, 4).item() == 4);
  CHECK_ERROR(Tensor::zeros({2}).item(), "item: got shape (2), expected one element");
  CHECK_ERROR(Tensor::zeros({2}).data<double>(), "tensor: got f32, expected f64");
  CHECK_ERROR((Tensor::from<float>({3}, {1, 2})), "from: got 2 values for shape (3)");
  CHECK_ERROR(Tensor::empty({int64_t{1} << 62, 4}), "more elements than 64 bits");
  CHECK_ERROR(Tensor::empty({int64_t{1} << 61}), "more");
  CHECK_ERROR(Tensor::empty({int64_t{1} << 50}), "no room");
}

TEST_CASE("tensor: shape-only tensors have shapes and no elements") {
  const Tensor x = Tensor::empty({1000000, 1000000}, DType::kF32, kMeta);
  CHECK(x.is_meta());
  CHECK(x.transpose(0, 1).is_meta());
  CHECK(x.clone().is_meta());
  CHECK_ERROR(x.raw(), "is on meta and has no elements");
}

TEST_CASE("tensor: strides of the memory formats") {
  const Tensor x = Tensor::empty({2, 3, 4, 5}, DType::kF32, kCpu, MemoryFormat::kChannelsLast);
  CHECK(x.strides() == Strides{60, 1, 15, 3});
  CHECK(x.is_channels_last());
  CHECK(!x.is_contiguous());
  CHECK(x.is_dense());
  CHECK(x.contiguous().strides() == Strides{60, 20, 5, 1});
  CHECK(Tensor::empty_like(x).strides() == x.strides());
  CHECK(!x.slice(3, 0, 4).is_dense());
  // One channel or one cell: both at once.
  CHECK(Tensor::zeros({2, 1, 4, 5}).is_channels_last());
  CHECK(Tensor::zeros({2, 7, 1, 1}).is_channels_last());
}

TEST_CASE("tensor: views by hand") {
  const Tensor x = count_up({2, 3, 4});
  CHECK(x.view({6, -1}).to_vector<double>() == x.to_vector<double>());
  CHECK(x.transpose(1, 2).to_vector<double>() ==
        V{0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11, 12, 16, 20, 13, 17, 21, 14, 18, 22, 15, 19, 23});
  CHECK(x.slice(2, 1, 4, 2).to_vector<double>() == V{1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23});
  CHECK(x.slice(0, 1, 2).squeeze(0).shape() == Shape{3, 4});
  CHECK(x.unsqueeze(-1).shape() == Shape{2, 3, 4, 1});
  CHECK(x.unsqueeze(0).to_vector<double>() == x.to_vector<double>());
  CHECK(count_up({3, 1}).expand({2, 3, 2}).to_vector<double>() ==
        V{0, 0, 1, 1, 2, 2, 0, 0, 1, 1, 2, 2});
  // Dims that lie evenly may be cut and joined even when the whole is not contiguous.
  CHECK(x.slice(0, 0, 1).view({12}).numel() == 12);
  CHECK(x.transpose(0, 1).can_view({3, 2, 2, 2}));
  CHECK(!x.transpose(0, 1).can_view({6, 4}));
  CHECK(!x.slice(2, 0, 3).can_view({6 * 3}));
  CHECK(x.slice(2, 0, 3).view({6, 3}).to_vector<double>() == x.slice(2, 0, 3).to_vector<double>());
  CHECK_ERROR(x.view({5, -1}), "view: shape (2,3,4) does not divide into (5,-1)");
  CHECK_ERROR(x.view({5, 5}), "view: shape (2,3,4) has 24 elements, (5,5) has 25");
  CHECK_ERROR(x.transpose(0, 2).view({24}), "cannot be viewed as (24) without a copy");
  CHECK_ERROR(x.slice(1, 2, 1), "slice: got [2:1:1] of dimension 1");
  CHECK_ERROR(x.permute({0, 1}), "permute: got (0,1)");
  CHECK_ERROR(x.permute({0, 1, 1}), "permute: dimension 1 twice");
  CHECK_ERROR(x.squeeze(1), "squeeze: dimension 1 of (2,3,4) is not 1");
  CHECK_ERROR(x.expand({2, 3, 5}), "expand: shape (2,3,4) does not expand to (2,3,5)");
  CHECK_ERROR(x.strided({2, 2}, {20, 8}, 0), "leaves the storage");
  CHECK_ERROR(x.strided({2}, {1}, -1), "leaves the storage");
}

TEST_CASE("tensor: every view that is allowed equals the view of a copy") {
  const Tensor x = count_up({4, 6, 2});
  const std::vector<Tensor> sources{x,
                                    x.transpose(0, 1),
                                    x.slice(1, 1, 5),
                                    x.slice(0, 0, 4, 2),
                                    x.slice(1, 0, 1),
                                    x.permute({2, 1, 0}),
                                    x.slice(2, 1, 2)};
  int allowed = 0;
  for (const Tensor& s : sources) {
    for (const Shape& shape : {Shape{-1}, Shape{2, -1}, Shape{-1, 2}, Shape{-1, 4}, Shape{1, -1, 1},
                               Shape{2, 2, -1}, Shape{-1, 2, 2}}) {
      if (!s.can_view(shape)) continue;
      ++allowed;
      CHECK(s.view(shape).to_vector<double>() == s.contiguous().view(shape).to_vector<double>());
    }
  }
  CHECK(allowed == 20);
}

TEST_CASE("tensor: views share, clones do not; writes bump the version of the storage") {
  Tensor x = count_up({2, 3});
  Tensor row = x.slice(0, 1, 2);
  const Tensor copy = x.clone();
  const uint64_t before = x.version();
  row.fill(9);
  CHECK(x.to_vector<double>() == V{0, 1, 2, 9, 9, 9});
  CHECK(copy.to_vector<double>() == V{0, 1, 2, 3, 4, 5});
  CHECK(x.version() > before);
  CHECK(row.shares_storage_with(x));
  CHECK(!copy.shares_storage_with(x));
  CHECK_ERROR(x.copy_from(row), "copy: got shape (1,3), expected (2,3)");
}

TEST_CASE("tensor: conversions round as they should") {
  const Tensor x = Tensor::from<double>({6}, {-1.5, 0, 1, 2.75, 255, 300});
  CHECK(x.to(DType::kI64).to_vector<double>() == V{-1, 0, 1, 2, 255, 300});
  CHECK(x.to(DType::kBool).to_vector<double>() == V{1, 0, 1, 1, 1, 1});
  CHECK(x.to(DType::kF16).to_vector<double>() == V{-1.5, 0, 1, 2.75, 255, 300});
  CHECK(x.to(DType::kBF16).to_vector<double>() == V{-1.5, 0, 1, 2.75, 255, 300});
  CHECK(x.to(DType::kF64).shares_storage_with(x));
  const Tensor grid = random_tensor({2, 3, 4, 5}, 1).channels_last();
  CHECK(grid.to(DType::kF32).is_channels_last());
  CHECK(error_of(grid.to(DType::kF32), grid) < 1e-7);
  CHECK(Tensor::from<int64_t>({1}, {(int64_t{1} << 60) + 1}).to(DType::kI64).data<int64_t>()[0] ==
        (int64_t{1} << 60) + 1);
}

TEST_CASE("tensor: borrowed bytes stay while their owner is needed") {
  auto owner = std::make_shared<std::vector<float>>(std::vector<float>{1, 2, 3});
  const std::weak_ptr<std::vector<float>> alive = owner;
  Tensor x = Tensor::borrow({3}, DType::kF32, owner->data(), owner);
  owner.reset();
  CHECK(x.to_vector<double>() == V{1, 2, 3});
  CHECK(!alive.expired());
  x = Tensor();
  CHECK(alive.expired());
}

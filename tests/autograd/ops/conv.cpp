#include "kintsugi/autograd/ops/conv.h"

#include "tests/support/gradcheck.h"

using namespace kintsugi;
using namespace kintsugi::test;
using autograd::Variable;
using ops::Conv2dParams;

namespace {

void check_conv(const Shape& x, const Shape& weight, const Conv2dParams& params) {
  INFO("x " << x.str() << " weight " << weight.str() << " " << params.str());
  const Tensor in = random_tensor(x, 1), w = random_tensor(weight, 2);
  const Tensor bias = random_tensor({weight[0]}, 3);
  check_gradients([&](const auto& v) { return autograd::conv2d(v[0], v[1], v[2], params); },
                  {in, w, bias});
  check_gradients([&](const auto& v) { return autograd::conv2d(v[0], v[1], Variable(), params); },
                  {in.channels_last(), w});
}

}  // namespace

TEST_CASE("autograd conv2d: gradients in double") {
  check_conv({2, 2, 4, 5}, {3, 2, 3, 3}, Conv2dParams::same(1, 1));
  check_conv({2, 3, 5, 5}, {2, 3, 3, 3}, Conv2dParams::same(2, 1));
  check_conv({1, 4, 3, 3}, {6, 2, 1, 1}, Conv2dParams::same(1, 0, 2));
  check_conv({2, 3, 5, 4}, {3, 1, 3, 3}, Conv2dParams::same(1, 1, 3));
  check_conv({1, 2, 6, 6}, {4, 1, 2, 2}, Conv2dParams::same(2, 0, 2));
  Conv2dParams with_relu = Conv2dParams::same(1, 1);
  with_relu.relu = true;
  check_conv({2, 2, 4, 5}, {3, 2, 3, 3}, with_relu);
  check_conv({1, 2, 4, 4}, {2, 2, 1, 1}, Conv2dParams::same(3, 0));  // inputs that nobody reads
  Conv2dParams uneven;
  uneven.stride = {2, 1};
  uneven.padding = {0, 2, 1, 0};
  uneven.dilation = {1, 2};
  check_conv({1, 2, 5, 6}, {2, 2, 2, 3}, uneven);
}

TEST_CASE("autograd conv2d: each subset of wanted gradients") {
  const Conv2dParams params = Conv2dParams::same(1, 1);
  const Tensor x = random_tensor({2, 3, 4, 4}, 1), w = random_tensor({2, 3, 3, 3}, 2);
  const Tensor bias = random_tensor({2}, 3), dy = random_tensor({2, 2, 4, 4}, 4);
  const auto grads = ops::conv2d_backward_weight(x, dy, w.shape(), true, params);
  const Tensor want[3] = {ops::conv2d_backward_input(dy, w, x.shape(), params), grads.dweight,
                          grads.dbias};
  for (int subset = 1; subset < 8; ++subset) {
    const Variable leaves[3] = {Variable(x, subset & 1), Variable(w, subset & 2),
                                Variable(bias, subset & 4)};
    autograd::conv2d(leaves[0], leaves[1], leaves[2], params).backward(dy);
    for (int i = 0; i < 3; ++i) {
      CHECK(leaves[i].grad().defined() == bool(subset >> i & 1));
      if (subset >> i & 1) CHECK(error_of(leaves[i].grad(), want[i]) < 1e-14);
    }
  }
}

TEST_CASE("autograd conv2d: f32 kernels against f64, through the tape") {
  for (const int64_t groups : {1, 2, 16}) {
    const Conv2dParams params = Conv2dParams::same(2, 1, groups);
    const Tensor x = random_tensor({3, 16, 9, 9}, 1), w = random_tensor({16, 16 / groups, 3, 3}, 2);
    const Tensor bias = random_tensor({16}, 3), dy = random_tensor({3, 16, 5, 5}, 4);
    std::vector<Variable> leaves[2];
    for (const DType dtype : {DType::kF32, DType::kF64}) {
      auto& v = leaves[dtype == DType::kF64];
      for (const Tensor& t : {x, w, bias}) v.emplace_back(t.to(dtype), true);
      autograd::conv2d(v[0], v[1], v[2], params).backward(dy.to(dtype));
    }
    for (int i = 0; i < 3; ++i) {
      CHECK(leaves[0][size_t(i)].grad().dtype() == DType::kF32);
      CHECK(error_of(leaves[0][size_t(i)].grad(), leaves[1][size_t(i)].grad()) < 3e-6);
    }
  }
}

TEST_CASE("autograd conv2d: keeps only what its backward reads") {
  const Conv2dParams params = Conv2dParams::same(1, 1);
  Tensor x = random_tensor({1, 2, 4, 4}, 1), w = random_tensor({2, 2, 3, 3}, 2);
  // A frozen weight: the input may be overwritten before backward, the weight may not.
  Variable input(x, true);
  Variable y = autograd::conv2d(input, Variable(w), Variable(), params);
  x.fill(0);
  y.backward(Tensor::full(y.shape(), 1, DType::kF64));
  CHECK(input.grad().defined());
  y = autograd::conv2d(input, Variable(w), Variable(), params);
  w.fill(0);
  CHECK_ERROR(y.backward(Tensor::full(y.shape(), 1, DType::kF64)), "was overwritten");
}

#include "kintsugi/autograd/ops/reduce.h"

#include "kintsugi/autograd/ops/elementwise.h"
#include "tests/support/gradcheck.h"

using namespace kintsugi;
using namespace kintsugi::test;
using autograd::Variable;
using ops::Reduce;

TEST_CASE("reduce gradients: every operator over every subset of dimensions") {
  const Tensor x = random_tensor({2, 3, 2, 3}, 5, -2, 2);
  for (const Reduce op : {Reduce::kSum, Reduce::kMean, Reduce::kMax, Reduce::kMin}) {
    for (const bool keepdim : {false, true}) {
      for (const Dims& dims : {Dims{}, Dims{0}, Dims{-1}, Dims{2, 3}, Dims{0, 2, 3}, Dims{1, -1}}) {
        CAPTURE(dims.str());
        check_gradients([&](const auto& in) { return autograd::reduce(op, in[0], dims, keepdim); },
                        {x});
        check_gradients([&](const auto& in) { return autograd::reduce(op, in[0], dims, keepdim); },
                        {x.channels_last()});
      }
    }
  }
}

TEST_CASE("reduce gradients: f32 over a channels-last grid agrees with f64") {
  const Tensor x = random_tensor({3, 17, 5, 7}, 1);
  const Tensor w = random_tensor({3, 17}, 2);
  for (const Reduce op : {Reduce::kMean, Reduce::kMax}) {
    const auto grad = [&](DType dtype) {
      const Variable v(x.to(dtype).channels_last(), true);
      autograd::reduce(op, v, {2, 3}).backward(w.to(dtype));
      return v.grad();
    };
    CHECK(error_of(grad(DType::kF32), grad(DType::kF64)) < 1e-6);
  }
}

#include "kintsugi/autograd/ops/softmax.h"

#include "tests/support/gradcheck.h"

using namespace kintsugi;
using namespace kintsugi::test;
using autograd::Variable;

TEST_CASE("softmax: gradients in double, every dimension") {
  for (const int dim : {0, 1, 2, -1}) {
    CAPTURE(dim);
    const Tensor x = random_tensor({2, 3, 5}, 1, -2, 2);
    check_gradients([&](const auto& v) { return autograd::softmax(v[0], dim); }, {x});
    check_gradients([&](const auto& v) { return autograd::log_softmax(v[0], dim); }, {x});
    const Tensor turned = x.transpose(0, 2);
    check_gradients([&](const auto& v) { return autograd::softmax(v[0], dim); }, {turned});
  }
}

TEST_CASE("softmax: an overwritten result is refused") {
  const Variable x(random_tensor({2, 3}, 1), true);
  const Variable y = autograd::softmax(x, 1);
  Tensor written = y.value();
  written.fill(0);
  CHECK_ERROR(y.backward(Tensor::full({2, 3}, 1, DType::kF64)), "overwritten");
}

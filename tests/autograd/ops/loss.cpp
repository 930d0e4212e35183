#include "kintsugi/autograd/ops/loss.h"

#include "tests/support/gradcheck.h"

using namespace kintsugi;
using namespace kintsugi::test;
using autograd::Variable;

TEST_CASE("loss gradients: cross entropy, hard, smoothed and soft") {
  const Tensor logits = random_tensor({4, 5}, 1, -3, 3);
  const Tensor labels = Tensor::from<int64_t>({4}, {0, 4, 2, 2});
  for (const double smoothing : {0.0, 0.1}) {
    check_gradients(
        [&](const auto& in) { return autograd::cross_entropy(in[0], labels, smoothing); },
        {logits});
  }
  // Rows need not sum to 1 for the gradient to be the loss's own.
  const Tensor soft = random_tensor({4, 5}, 2, 0, 1);
  check_gradients([&](const auto& in) { return autograd::cross_entropy(in[0], soft); }, {logits});
}

TEST_CASE("loss gradients: f32 agrees with f64") {
  const Tensor logits = random_tensor({33, 17}, 1, -20, 20);
  std::vector<int64_t> labels;
  for (int64_t i = 0; i < 33; ++i) labels.push_back(i * 5 % 17);
  const Tensor targets = Tensor::from<int64_t>({33}, labels);
  const auto run = [&](DType dtype) {
    const Variable x(logits.to(dtype), true);
    autograd::cross_entropy(x, targets, 0.1).backward();
    return x.grad();
  };
  CHECK(error_of(run(DType::kF32), run(DType::kF64)) < 1e-6);
}

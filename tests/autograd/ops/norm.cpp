#include "kintsugi/autograd/ops/norm.h"

#include "tests/support/gradcheck.h"

using namespace kintsugi;
using namespace kintsugi::test;
using autograd::Variable;

namespace {

Tensor grid(const Shape& shape, uint64_t seed) {
  return random_tensor(shape, seed).channels_last();
}

}  // namespace

TEST_CASE("batch_norm: gradients in double, training and evaluation") {
  const Tensor mean = random_tensor({3}, 8), variance = random_tensor({3}, 9, 0.5, 2);
  const Tensor w = random_tensor({3}, 2, 0.5, 2), b = random_tensor({3}, 3);
  for (const bool training : {true, false}) {
    CAPTURE(training);
    const auto run = [&](const Variable& x, const Variable& weight, const Variable& bias) {
      return autograd::batch_norm(x, weight, bias, training ? Tensor() : mean,
                                  training ? Tensor() : variance, training, 0.1, 1e-5);
    };
    for (const Tensor& x :
         {grid({2, 3, 2, 3}, 1), random_tensor({2, 3, 2, 2}, 1), random_tensor({5, 3}, 1)}) {
      check_gradients([&](const auto& v) { return run(v[0], v[1], v[2]); }, {x, w, b});
      check_gradients([&](const auto& v) { return run(v[0], {}, {}); }, {x});
      check_gradients([&](const auto& v) { return run(v[0], v[1], {}); }, {x, w});
      check_gradients([&](const auto& v) { return run(v[0], {}, v[1]); }, {x, b});
    }
  }
}

TEST_CASE("batch_norm: a checkpointed block moves the running statistics once") {
  const Tensor x = random_tensor({4, 3, 2, 2}, 1);
  const auto train = [&](bool checkpointed) {
    const Tensor mean = Tensor::zeros({3}, DType::kF64), var = Tensor::full({3}, 1, DType::kF64);
    const Variable leaf(x, true);
    const auto block = [&](const std::vector<Variable>& v) {
      return autograd::batch_norm(v[0], {}, {}, mean, var, true, 0.1, 1e-5);
    };
    const Variable y = checkpointed ? autograd::checkpoint(block, {leaf}) : block({leaf});
    y.backward(random_tensor(x.shape(), 2));
    return std::vector<Tensor>{mean, var, leaf.grad()};
  };
  const auto plain = train(false), checkpointed = train(true);
  for (size_t i = 0; i < 3; ++i) CHECK(error_of(checkpointed[i], plain[i]) == 0);
}

TEST_CASE("layer_norm: gradients in double, tokens and grids") {
  for (const int dim : {-1, 1}) {
    CAPTURE(dim);
    const Tensor x = dim == 1 ? grid({2, 5, 2, 3}, 1) : random_tensor({2, 3, 5}, 1);
    const Tensor w = random_tensor({5}, 2, 0.5, 2), b = random_tensor({5}, 3);
    check_gradients(
        [&](const auto& v) { return autograd::layer_norm(v[0], v[1], v[2], 1e-6, dim); },
        {x, w, b});
    check_gradients([&](const auto& v) { return autograd::layer_norm(v[0], {}, {}, 1e-6, dim); },
                    {x});
    check_gradients([&](const auto& v) { return autograd::layer_norm(v[0], v[1], {}, 1e-6, dim); },
                    {x, w});
  }
}

TEST_CASE("group_norm: gradients in double") {
  const Tensor w = random_tensor({6}, 2, 0.5, 2), b = random_tensor({6}, 3);
  for (const int64_t groups : {1, 2, 6}) {
    CAPTURE(groups);
    const Tensor x = grid({2, 6, 2, 3}, 1);
    check_gradients(
        [&](const auto& v) { return autograd::group_norm(v[0], groups, v[1], v[2], 1e-5); },
        {x, w, b});
    check_gradients([&](const auto& v) { return autograd::group_norm(v[0], groups, {}, {}, 1e-5); },
                    {x});
  }
}

#include "kintsugi/autograd/ops/layout.h"

#include "tests/support/gradcheck.h"

using namespace kintsugi;
using namespace kintsugi::test;
using autograd::Variable;

TEST_CASE("layout gradients: every operator, row major and channels last") {
  using Inputs = std::vector<Variable>;
  const Tensor plain = random_tensor({2, 3, 2, 4}, 1), other = random_tensor({2, 2, 2, 4}, 2);
  const Tensor rows = Tensor::from<int64_t>({4}, {1, 0, 1, 1});
  for (const Tensor& x : {plain, plain.channels_last()}) {
    check_gradients([](const Inputs& in) { return autograd::reshape(in[0], {4, -1}); }, {x});
    check_gradients([](const Inputs& in) { return autograd::permute(in[0], {2, 0, -1, 1}); }, {x});
    check_gradients([](const Inputs& in) { return autograd::transpose(in[0], 1, -1); }, {x});
    check_gradients([](const Inputs& in) { return autograd::slice(in[0], 1, 1, 3); }, {x});
    check_gradients([](const Inputs& in) { return autograd::slice(in[0], -1, 1, 4, 2); }, {x});
    check_gradients(
        [&](const Inputs& in) {
          return autograd::concat({in[0], in[1], in[0]}, 1);
        },
        {x, other});
    check_gradients(
        [&](const Inputs& in) {
          return autograd::concat({in[1], in[0]}, -3);
        },
        {x, other});
    check_gradients(
        [](const Inputs& in) {
          return autograd::pad(in[0], {{2, 1, 2}, {-1, -1, 1}}, 3.0);
        },
        {x});
    check_gradients([](const Inputs& in) { return autograd::roll(in[0], {1, -2}, {2, 3}); }, {x});
    for (int dim = -1; dim < 4; ++dim) {
      check_gradients([&](const Inputs& in) { return autograd::gather(in[0], dim, rows); }, {x});
    }
    check_gradients([](const Inputs& in) { return autograd::grid_to_tokens(in[0]); }, {x});
    check_gradients(
        [](const Inputs& in) {
          return autograd::tokens_to_grid(autograd::grid_to_tokens(in[0]), 4, 2);
        },
        {x});
  }
  check_gradients(
      [](const Inputs& in) {
        return autograd::expand(in[0], {2, 3, 4});
      },
      {random_tensor({3, 1}, 3)});
}

#include "kintsugi/autograd/ops/attention.h"

#include "tests/support/gradcheck.h"

using namespace kintsugi;
using namespace kintsugi::test;
using autograd::Variable;

TEST_CASE("attention: gradients in double") {
  const Tensor q = random_tensor({2, 2, 3, 4}, 1), k = random_tensor({2, 2, 5, 4}, 2),
               v = random_tensor({2, 2, 5, 3}, 3);
  check_gradients([](const auto& x) { return autograd::attention(x[0], x[1], x[2], {}, 0.5); },
                  {q, k, v});
  for (const Shape& shape : {Shape{2, 2, 3, 5}, Shape{1, 2, 3, 5}, Shape{2, 1, 3, 5}, Shape{3, 5},
                             Shape{2, 1, 1, 5}, Shape{2, 2, 3, 1}, Shape{1}}) {
    CAPTURE(shape);
    check_gradients([](const auto& x) { return autograd::attention(x[0], x[1], x[2], x[3], 0.5); },
                    {q, k, v, random_tensor(shape, 4)});
  }
}

TEST_CASE("attention: a constant bias gets no gradient") {
  const Variable q(random_tensor({1, 2, 3, 4}, 1), true), bias(random_tensor({3, 3}, 2));
  autograd::attention(q, q, q, bias, 0.5).backward(random_tensor({1, 2, 3, 4}, 3));
  CHECK(q.grad().defined());
  CHECK_FALSE(bias.grad().defined());
}

#include "kintsugi/autograd/ops/matmul.h"

#include "tests/support/gradcheck.h"

using namespace kintsugi;
using namespace kintsugi::test;
using autograd::Variable;

TEST_CASE("matmul: gradients in double, batched, broadcast, transposed") {
  struct Case {
    Shape a, b;
  };
  for (const Case& c : {Case{{3, 4}, {4, 2}}, Case{{2, 3, 4}, {2, 4, 5}}, Case{{2, 3, 4}, {4, 5}},
                        Case{{3, 4}, {2, 4, 5}}, Case{{2, 1, 2, 3}, {3, 3, 2}},
                        Case{{1, 3, 4}, {5, 4, 1}}, Case{{2, 2, 3, 4}, {4, 3}}}) {
    CAPTURE(c.a);
    CAPTURE(c.b);
    const Tensor a = random_tensor(c.a, 1), b = random_tensor(c.b, 2);
    check_gradients([](const auto& v) { return autograd::matmul(v[0], v[1]); }, {a, b});
  }
  const Tensor a = random_tensor({2, 4, 3}, 1).transpose(1, 2);
  const Tensor b = random_tensor({5, 4}, 2).transpose(0, 1);
  check_gradients([](const auto& v) { return autograd::matmul(v[0], v[1]); }, {a, b});
}

TEST_CASE("linear: gradients in double, with and without a bias") {
  const Tensor w = random_tensor({4, 3}, 2), b = random_tensor({4}, 3);
  for (const Shape& shape : {Shape{3}, Shape{5, 3}, Shape{2, 3, 3}, Shape{2, 2, 2, 3}}) {
    CAPTURE(shape);
    const Tensor x = random_tensor(shape, 1);
    check_gradients([](const auto& v) { return autograd::linear(v[0], v[1], v[2]); }, {x, w, b});
    check_gradients([](const auto& v) { return autograd::linear(v[0], v[1], Variable()); }, {x, w});
  }
}

TEST_CASE("linear: only wanted gradients are computed") {
  const Variable x(random_tensor({5, 3}, 1)), w(random_tensor({4, 3}, 2)),
      b(random_tensor({4}, 3), true);
  const Tensor dy = random_tensor({5, 4}, 4);
  autograd::linear(x, w, b).backward(dy);
  CHECK_FALSE(x.grad().defined());
  CHECK_FALSE(w.grad().defined());
  const auto grad = b.grad().to_vector<double>(), rows = dy.to_vector<double>();
  for (size_t o = 0; o < 4; ++o) {
    CHECK(grad[o] ==
          doctest::Approx(rows[o] + rows[o + 4] + rows[o + 8] + rows[o + 12] + rows[o + 16]));
  }
}

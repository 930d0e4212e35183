#include "kintsugi/autograd/ops/elementwise.h"

#include "kintsugi/autograd/ops/reduce.h"
#include "tests/support/gradcheck.h"

using namespace kintsugi;
using namespace kintsugi::test;
using autograd::Variable;
using ops::Binary;
using ops::Unary;

namespace {

using Inputs = std::vector<Variable>;

constexpr int kUnaries = static_cast<int>(Unary::kRelu6) + 1;
constexpr int kBinaries = static_cast<int>(Binary::kMinimum) + 1;

// Far from every kink (0, -3, 3, 6), of both signs.
Tensor away_from_kinks() {
  return Tensor::from<double>({2, 3, 2},
                              {-5.1, -3.4, -2.6, -1.3, -0.4, 0.3, 0.8, 1.7, 2.5, 3.5, 5.2, 6.4});
}

}  // namespace

TEST_CASE("elementwise gradients: every unary function") {
  for (int i = 0; i < kUnaries; ++i) {
    const Unary op = static_cast<Unary>(i);
    CAPTURE(name_of(op));
    const auto fn = [op](const Inputs& in) { return autograd::unary(op, in[0]); };
    if (op == Unary::kLog || op == Unary::kSqrt || op == Unary::kRsqrt) {
      check_gradients(fn, {random_tensor({3, 4}, 1, 0.7, 3)});
    } else if (op == Unary::kReciprocal) {
      check_gradients(fn, {random_tensor({3, 4}, 1, 0.7, 3)});
      check_gradients(fn, {random_tensor({3, 4}, 1, -3, -0.7)});
    } else {
      check_gradients(fn, {op == Unary::kExp ? random_tensor({3, 4}, 2) : away_from_kinks()});
    }
  }
}

TEST_CASE("elementwise gradients: functions with numbers") {
  const Tensor x = away_from_kinks();
  check_gradients([](const Inputs& in) { return autograd::leaky_relu(in[0], 0.2); }, {x});
  check_gradients([](const Inputs& in) { return autograd::clamp(in[0], -2, 3); }, {x});
  check_gradients([](const Inputs& in) { return autograd::affine(in[0], -1.5, 2); }, {x});
  for (const double p : {0.0, 1.0, 2.0, 3.0, 0.5, -1.2}) {
    check_gradients([p](const Inputs& in) { return autograd::pow(in[0], p); },
                    {random_tensor({3, 3}, 1, 0.8, 2)});
  }
  for (const double p : {2.0, 3.0}) {
    check_gradients([p](const Inputs& in) { return autograd::pow(in[0], p); }, {x});
  }
  check_gradients([](const Inputs& in) { return autograd::star_relu(in[0], in[1], in[2]); },
                  {x, Tensor::full({1}, 0.8, DType::kF64), Tensor::full({1}, -0.3, DType::kF64)});
  // At the bounds themselves clamp passes the gradient on.
  const Variable edge(Tensor::from<double>({4}, {-2, 3, -2.5, 3.5}), true);
  autograd::sum(autograd::clamp(edge, -2, 3)).backward();
  CHECK(edge.grad().to_vector<double>() == std::vector<double>{1, 1, 0, 0});
}

TEST_CASE("elementwise gradients: two operands, broadcast every way") {
  struct Case {
    Shape a, b;
  };
  for (const Case& c : {Case{{2, 3}, {2, 3}}, Case{{2, 3}, {3}}, Case{{3}, {2, 3}},
                        Case{{2, 1}, {1, 3}}, Case{{2, 3}, {}}, Case{{2, 3, 2, 2}, {3, 1, 1}},
                        Case{{2, 3, 2, 2}, {2, 3, 1, 1}}, Case{{1, 3}, {1, 3}}}) {
    CAPTURE(c.a.str());
    CAPTURE(c.b.str());
    for (int i = 0; i < kBinaries; ++i) {
      const Binary op = static_cast<Binary>(i);
      CAPTURE(name_of(op));
      // Of maximum and minimum the operands must not be near each other: b lies between a's values.
      Tensor a = random_tensor(c.a, 1, 0.8, 1.2), b = random_tensor(c.b, 2, 0.8, 1.2);
      if (op == Binary::kMaximum || op == Binary::kMinimum) {
        for (int64_t k = 0; k < a.numel(); ++k) a.data<double>()[k] += k % 2 ? 1 : -1;
      }
      check_gradients([op](const Inputs& in) { return autograd::binary(op, in[0], in[1]); },
                      {a, b});
    }
  }
}

TEST_CASE("elementwise gradients: equal operands of a maximum share") {
  const Variable a(Tensor::from<double>({3}, {1, 2, 3}), true);
  const Variable b(Tensor::from<double>({3}, {2, 2, 2}), true);
  autograd::sum(autograd::binary(Binary::kMaximum, a, b)).backward();
  CHECK(a.grad().to_vector<double>() == std::vector<double>{0, 0.5, 1});
  CHECK(b.grad().to_vector<double>() == std::vector<double>{1, 0.5, 0});
}

TEST_CASE("elementwise gradients: only one operand wants one") {
  for (int i = 0; i < kBinaries; ++i) {
    const Variable a(random_tensor({2, 3}, 1, 1, 2), true), b(random_tensor({3}, 2, 3, 4));
    autograd::sum(autograd::binary(static_cast<Binary>(i), a, b)).backward();
    CHECK(a.grad().shape() == Shape{2, 3});
    CHECK(!b.grad().defined());
  }
}

TEST_CASE("elementwise gradients: where") {
  const Tensor condition =
      ops::compare(ops::Compare::kLess, random_tensor({2, 3}, 1), Tensor::zeros({}, DType::kF64));
  check_gradients([&](const Inputs& in) { return autograd::where(condition, in[0], in[1]); },
                  {random_tensor({2, 3}, 2), random_tensor({3}, 3)});
  check_gradients([&](const Inputs& in) { return autograd::where(condition, in[0], in[1]); },
                  {random_tensor({}, 2), random_tensor({2, 2, 3}, 3)});
}

TEST_CASE("elementwise gradients: f32 channels-last kernels agree with f64") {
  for (int i = 0; i < kUnaries; ++i) {
    const Unary op = static_cast<Unary>(i);
    CAPTURE(name_of(op));
    const Tensor x = random_tensor({2, 17, 3, 5}, 1, 0.5, 4),
                 c = random_tensor({17, 1, 1}, 2, 1, 2);
    const auto grads = [&](DType dtype) {
      const Variable v(x.to(dtype).channels_last(), true), w(c.to(dtype), true);
      autograd::sum(autograd::mul(autograd::unary(op, v), w)).backward();
      return std::pair(v.grad(), w.grad());
    };
    const auto got = grads(DType::kF32), want = grads(DType::kF64);
    CHECK(got.first.is_channels_last());
    CHECK(error_of(got.first, want.first) < 4e-6);
    CHECK(error_of(got.second, want.second) < 4e-6);
  }
}

TEST_CASE("elementwise gradients: a function of its result does not keep its operand") {
  Context& context = Context::current();
  const Shape big{256, 1024};
  const int64_t bytes = big.numel() * 4;
  const Variable x(Tensor::full(big, 0.5), true);
  const int64_t before = context.memory->current;
  Variable y;
  {
    const Variable shifted = autograd::affine(x, 2, 1);
    y = autograd::unary(Unary::kRelu, shifted);
  }
  CHECK(context.memory->current - before < 2 * bytes);
}

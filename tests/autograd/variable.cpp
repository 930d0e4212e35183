#include "kintsugi/autograd/variable.h"

#include "kintsugi/autograd/ops/elementwise.h"
#include "kintsugi/autograd/ops/reduce.h"
#include "tests/support/gradcheck.h"

using namespace kintsugi;
using namespace kintsugi::test;
using namespace kintsugi::autograd;
using ops::Unary;

namespace {

Variable leaf(const Shape& shape, uint64_t seed) {
  return Variable(random_tensor(shape, seed), true);
}

Variable square(const Variable& x) {
  return unary(Unary::kSquare, x);
}

// Random numbers in the forward, as dropout has: their mask must be the same the second time.
Variable noisy(const Variable& x) {
  Tensor mask = Tensor::empty(x.shape(), x.value().dtype());
  Context::current().generator.bernoulli(mask, 0.5);
  return mul(unary(Unary::kTanh, x), Variable(mask));
}

}  // namespace

TEST_CASE("tape: a value used twice gets both gradients") {
  const Variable x = leaf({3}, 1);
  sum(add(x, x)).backward();
  CHECK(x.grad().to_vector<double>() == std::vector<double>{2, 2, 2});
  check_gradients([](const auto& in) { return mul(in[0], in[0]); }, {random_tensor({3}, 2)});
  check_gradients(
      [](const auto& in) {
        const Variable y = unary(Unary::kTanh, in[0]);
        return add(mul(y, y), add(y, add(y, in[0])));
      },
      {random_tensor({4}, 3)});
}

TEST_CASE("tape: gradients accumulate over backwards, and the first one is not written into") {
  const Variable x = leaf({2}, 1);
  sum(x).backward();
  const Tensor first = x.grad();
  sum(x).backward();
  CHECK(x.grad().to_vector<double>() == std::vector<double>{2, 2});
  CHECK(first.to_vector<double>() == std::vector<double>{1, 1});
  Variable y = x;
  y.zero_grad();
  CHECK(!x.grad().defined());
}

TEST_CASE("tape: two leaves never share one gradient's storage by adding") {
  const Variable a = leaf({2}, 1), b = leaf({2}, 2);
  add(a, b).backward(Tensor::full({2}, 1, DType::kF64));
  add(a, a).backward(Tensor::full({2}, 1, DType::kF64));
  CHECK(a.grad().to_vector<double>() == std::vector<double>{3, 3});
  CHECK(b.grad().to_vector<double>() == std::vector<double>{1, 1});
}

TEST_CASE("tape: a given gradient is not changed, whatever the leaves do with theirs") {
  const Tensor dy = Tensor::full({2}, 1, DType::kF64);
  const Variable x = leaf({2}, 1);
  x.backward(dy);
  x.backward(dy);
  CHECK(x.grad().to_vector<double>() == std::vector<double>{2, 2});
  CHECK(dy.to_vector<double>() == std::vector<double>{1, 1});
}

TEST_CASE("tape: a saved value that was overwritten is refused, by name") {
  const Variable x = leaf({2}, 1);
  const Variable y = sum(square(x));
  Tensor value = x.value();
  value.fill(3);
  CHECK_ERROR(y.backward(), "a saved value of shape (2) was overwritten after the forward");
}

TEST_CASE("tape: an operator without a gradient is named") {
  const Variable x = leaf({2}, 1);
  const Variable y = sum(not_differentiable("topk", x.value().clone(), {x}));
  CHECK_ERROR(y.backward(), "backward: topk has no gradient");
  // A value without a wanted gradient may pass.
  const Variable constant(random_tensor({2}, 1));
  CHECK(!not_differentiable("topk", constant.value(), {constant}).requires_grad());
}

TEST_CASE("tape: a rule with a gradient missing or of a wrong shape is named") {
  const Variable x = leaf({2}, 1);
  const auto make = [&](Tensors grads) {
    return differentiable("broken", x.value().clone(), {x},
                          [grads](const Tensor&, const Wants&) { return grads; });
  };
  const Tensor dy = Tensor::full({2}, 1, DType::kF64);
  CHECK_ERROR(make({Tensor()}).backward(dy), "broken has no gradient for input 0");
  CHECK_ERROR(make({}).backward(dy), "broken gave 0 gradients for 1 inputs");
  CHECK_ERROR(make({Tensor::zeros({3}, DType::kF64)}).backward(dy),
              "broken gave shape (3) for input 0 of shape (2)");
}

TEST_CASE("tape: errors of use") {
  const Variable x = leaf({2}, 1);
  CHECK_ERROR(square(x).backward(), "backward: got shape (2), expected one element");
  CHECK_ERROR(Variable().backward(), "backward: of an undefined variable");
  CHECK_ERROR(sum(Variable(random_tensor({2}, 1))).backward(), "no leaf of this value wants");
  CHECK_ERROR(square(x).backward(Tensor::zeros({3}, DType::kF64)),
              "backward: got a gradient of shape (3), expected (2)");
  Variable y = square(x);
  CHECK_ERROR(y.set_requires_grad(false), "set_requires_grad: not a leaf");
  CHECK_ERROR(y.set_value(x.value()), "set_value: not a leaf");
}

TEST_CASE("tape: a second backward over a freed tape is an error, and changes nothing") {
  const Variable x = leaf({2}, 1);
  const Variable shared = square(x), y = sum(shared);
  y.backward();
  const auto once = x.grad().to_vector<double>();
  CHECK_ERROR(y.backward(), "the tape below sum (shape ()) was freed by an earlier backward");
  CHECK_ERROR(sum(affine(shared, 2, 0)).backward(), "was freed by an earlier backward");
  CHECK(x.grad().to_vector<double>() == once);
  CHECK(!y.is_leaf());
}

TEST_CASE("tape: no gradient, no tape") {
  const Variable x = leaf({2}, 1);
  {
    NoGrad no_grad;
    CHECK(!square(x).requires_grad());
  }
  CHECK(square(x).requires_grad());
  CHECK(!square(x.detach()).requires_grad());
  Variable frozen = x;
  frozen.set_requires_grad(false);
  CHECK(!square(x).requires_grad());
}

TEST_CASE("tape: a chain of 200 000 operators neither runs nor dies recursively") {
  const Variable x(Tensor::full({1}, 1), true);
  {
    Variable y = x;
    for (int i = 0; i < 200000; ++i) y = affine(y, 1, 0);
    y.backward();
    CHECK(x.grad().item() == 1);
  }
  Variable y = x;
  for (int i = 0; i < 200000; ++i) y = affine(y, 1, 0);
  y = Variable();  // dropped without a backward
  Variable wide = x;
  for (int i = 0; i < 20; ++i) wide = add(wide, wide);
  wide.backward();
  CHECK(x.grad().item() == 1 + double(1 << 20));
}

TEST_CASE("tape: activations die as the backward passes them") {
  Context& context = Context::current();
  const Shape big{64, 1024};
  const int64_t bytes = big.numel() * 4;
  const Variable x(Tensor::full(big, 0.01), true);
  const int64_t before = context.memory->current;
  Variable y = x;
  for (int i = 0; i < 8; ++i) y = square(y);
  y = sum(y);
  CHECK(context.memory->current - before < 9 * bytes);
  context.memory->reset_peak();
  const int64_t start = context.memory->current;
  y.backward();
  CHECK(context.memory->peak - start < 4 * bytes);
  CHECK(context.memory->current - before < 2 * bytes);
}

TEST_CASE("checkpoint: the same gradients bit by bit, random numbers included") {
  const Tensor start = random_tensor({4, 5}, 1), weight = random_tensor({5}, 2);
  const auto run = [&](bool checkpointed) {
    Context::current().generator = Generator(7);
    const Variable x(start, true), w(weight, true);
    const auto block = [w](const std::vector<Variable>& in) { return noisy(mul(noisy(in[0]), w)); };
    Variable y = noisy(x);
    y = checkpointed ? checkpoint(block, {y}) : block({y});
    const Variable loss = sum(mul(noisy(y), y));
    loss.backward();
    return std::array{loss.value(), x.grad(), w.grad(),
                      Tensor::full({1}, double(Context::current().generator.next()), DType::kF64)};
  };
  const auto plain = run(false), saved = run(true);
  for (size_t i = 0; i < plain.size(); ++i) CHECK(error_of(saved[i], plain[i]) == 0);
}

TEST_CASE("checkpoint: activations inside are not kept") {
  Context& context = Context::current();
  const Shape big{64, 1024};
  const int64_t bytes = big.numel() * 4;
  const Variable x(Tensor::full(big, 0.01), true);
  const auto deep = [](const std::vector<Variable>& in) {
    Variable y = in[0];
    for (int i = 0; i < 16; ++i) y = unary(Unary::kGelu, y);
    return y;
  };
  const int64_t before = context.memory->current;
  const Variable kept = deep({x});
  CHECK(context.memory->current - before >= 15 * bytes);
  const int64_t middle = context.memory->current;
  const Variable y = sum(checkpoint(deep, {x}));
  CHECK(context.memory->current - middle < 3 * bytes);
  y.backward();
  const Tensor grad = x.grad();
  Variable fresh = x;
  fresh.zero_grad();
  sum(kept).backward();
  CHECK(error_of(grad, x.grad()) == 0);
}

TEST_CASE("checkpoint: parameters inside get gradients where no input wants one") {
  const Variable x(random_tensor({3}, 1)), w = leaf({3}, 2);
  sum(checkpoint([w](const auto& in) { return mul(in[0], w); }, {x})).backward();
  CHECK(error_of(w.grad(), x.value()) == 0);
  const Variable unused = leaf({3}, 3), z = leaf({3}, 4);
  sum(checkpoint([](const auto& in) { return square(in[1]); }, {unused, z, Variable()})).backward();
  CHECK(error_of(unused.grad(), Tensor::zeros({3}, DType::kF64)) == 0);
  CHECK(error_of(z.grad(), ops::affine(z.value(), 2, 0)) == 0);
}

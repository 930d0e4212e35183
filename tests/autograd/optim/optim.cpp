#include <cmath>

#include "kintsugi/autograd/ops/elementwise.h"
#include "kintsugi/autograd/ops/reduce.h"
#include "kintsugi/autograd/optim/adamw.h"
#include "kintsugi/autograd/optim/clip.h"
#include "kintsugi/autograd/optim/ema.h"
#include "kintsugi/autograd/optim/schedule.h"
#include "kintsugi/autograd/optim/sgd.h"
#include "tests/support/compare.h"

using namespace kintsugi;
using namespace kintsugi::test;
using namespace kintsugi::autograd;

namespace {

Variable parameter(std::vector<double> values) {
  return Variable(Tensor::from<double>({int64_t(values.size())}, values), true);
}

Tensor values(std::vector<double> v) {
  return Tensor::from<double>({int64_t(v.size())}, v);
}

}  // namespace

TEST_CASE("optimizers: groups have their own rate and decay; frozen ones stay") {
  Variable a = parameter({1}), b = parameter({1}), c = parameter({1}), untouched = parameter({5});
  Sgd sgd({{.params = {{"a", a}, {"untouched", untouched}}, .weight_decay = 0.5},
           {.params = {{"b", b}}, .lr_scale = 0.1},
           {.params = {{"c", c}}, .frozen = true}},
          0.0);
  for (Variable p : {a, b, c}) p.set_grad(values({2}));
  sgd.step(0.1);
  CHECK(a.value().item() == doctest::Approx(1 - 0.1 * 2.5));
  CHECK(b.value().item() == doctest::Approx(1 - 0.01 * 2));
  CHECK(c.value().item() == 1);
  CHECK(untouched.value().item() == 5);
  sgd.zero_grad();
  CHECK(!a.grad().defined());
  CHECK(sgd.steps() == 1);
}

TEST_CASE("optimizers: both come down to the minimum of a quadratic") {
  const auto run = [](auto make) {
    Variable p = parameter({3, -2, 0.5});
    auto optimizer = make(std::vector<ParamGroup>{{.params = {{"p", p}}}});
    for (int i = 0; i < 400; ++i) {
      optimizer.zero_grad();
      sum(unary(ops::Unary::kSquare, add(p, Variable(values({-1, 1, 2}))))).backward();
      optimizer.step(0.05 * (1 - i / 400.0));
    }
    return error_of(p.value(), values({1, -1, -2}));
  };
  CHECK(run([](auto groups) { return Sgd(std::move(groups), 0.9, true); }) < 1e-6);
  CHECK(run([](auto groups) { return AdamW(std::move(groups)); }) < 1e-3);
}

TEST_CASE("optimizers: a run that was saved and loaded goes on as if never stopped") {
  const auto gradient = [](int i) { return values({std::sin(i + 1.0), std::cos(2.0 * i)}); };
  const auto go = [&](AdamW& optimizer, Variable p, int from, int to) {
    for (int i = from; i < to; ++i) {
      p.set_grad(gradient(i));
      optimizer.step(0.1);
    }
  };
  Variable whole = parameter({1, 2});
  AdamW one({{.params = {{"w", whole}}, .weight_decay = 0.1}});
  go(one, whole, 0, 6);

  Variable first = parameter({1, 2});
  AdamW two({{.params = {{"w", first}}, .weight_decay = 0.1}});
  go(two, first, 0, 3);
  std::map<std::string, Tensor> state;
  for (const auto& [name, tensor] : two.state_dict()) state[name] = tensor.clone();
  CHECK(state.size() == 2);
  CHECK(state.contains("exp_avg.w"));
  CHECK(state.contains("exp_avg_sq.w"));
  Variable second(first.value().clone(), true);
  AdamW three({{.params = {{"w", second}}, .weight_decay = 0.1}});
  three.load_state_dict(state, two.steps());
  go(three, second, 3, 6);
  CHECK(error_of(second.value(), whole.value()) == 0);

  auto missing = state;
  missing.erase("exp_avg.w");
  CHECK_ERROR(three.load_state_dict(missing, 1), "does not fit in 1 places");
  auto extra = state;
  extra["exp_avg.v"] = values({1});
  CHECK_ERROR(three.load_state_dict(extra, 1), "does not fit in 1 places");
  auto wrong = state;
  wrong["exp_avg.w"] = values({1});
  CHECK_ERROR(three.load_state_dict(wrong, 1), "does not fit in 1 places");
  CHECK_ERROR(AdamW({{.params = {{"y", unary(ops::Unary::kExp, whole)}}}}), "'y' is not a leaf");
}

TEST_CASE("schedule: linear up, half a cosine down") {
  CHECK(cosine_lr(0, 100, 0, 1) == 1);
  CHECK(cosine_lr(50, 100, 0, 1) == doctest::Approx(0.5));
  CHECK(cosine_lr(100, 100, 0, 1, 0.1) == doctest::Approx(0.1));
  CHECK(cosine_lr(500, 100, 0, 1, 0.1) == doctest::Approx(0.1));
  CHECK(cosine_lr(60, 110, 10, 2, 1) == doctest::Approx(1.5));
  CHECK(cosine_lr(10, 110, 10, 2, 1) == 2);
  for (int64_t i = 1; i < 10; ++i) {
    CHECK(cosine_lr(i, 110, 10, 2, 0, 0.1) > cosine_lr(i - 1, 110, 10, 2, 0, 0.1));
  }
  CHECK(cosine_lr(0, 110, 10, 2, 0, 0.1) >= 0.1);
  CHECK(cosine_lr(9, 110, 10, 2) < 2);
  CHECK(std::isfinite(cosine_lr(0, 0, 0, 1)));
}

TEST_CASE("ema: follows its formula, with and without the ramp") {
  Tensor x = values({0, 10});
  Ema ema({{"x", x}}, 0.9, false);
  const Tensor moved = values({1, 0});
  ema.update({{"x", moved}});
  CHECK(error_of(ema.averages().at("x"), values({0.1, 9})) < 1e-15);
  CHECK(x.to_vector<double>() == std::vector<double>{0, 10});
  Ema ramp({{"x", x}}, 0.9, true);
  ramp.update({{"x", moved}});
  CHECK(error_of(ramp.averages().at("x"), values({0.9, 1})) < 1e-15);
  Ema again({{"x", x}}, 0.9, true);
  again.load(ramp.averages(), ramp.steps());
  ramp.update({{"x", moved}});
  again.update({{"x", moved}});
  CHECK(error_of(ramp.averages().at("x"), again.averages().at("x")) == 0);
  CHECK_ERROR(ema.update({}), "ema: 'x' is missing");
}

TEST_CASE("clip: the joint norm comes down to the limit, smaller ones stay") {
  Variable a = parameter({0, 0}), b = parameter({0}), frozen = parameter({0});
  Sgd sgd({{.params = {{"a", a}, {"b", b}}}, {.params = {{"f", frozen}}, .frozen = true}}, 0.0);
  a.set_grad(values({3, 0}));
  b.set_grad(values({4}));
  frozen.set_grad(values({100}));
  CHECK(clip_grad_norm(sgd, 10) == doctest::Approx(5));
  CHECK(a.grad().to_vector<double>() == std::vector<double>{3, 0});
  CHECK(clip_grad_norm(sgd, 1) == doctest::Approx(5));
  CHECK(error_of(a.grad(), values({0.6, 0})) < 1e-12);
  CHECK(error_of(b.grad(), values({0.8})) < 1e-12);
}

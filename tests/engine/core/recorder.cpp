#include "kintsugi/engine/program/recorder.h"

#include "kintsugi/engine/ops/elementwise.h"
#include "kintsugi/engine/ops/layout.h"
#include "kintsugi/engine/ops/reduce.h"
#include "tests/support/compare.h"

using namespace kintsugi;
using namespace kintsugi::test;

namespace {

Program record(Device device) {
  const Recorder recorder;
  const Tensor x =
      device == kMeta ? Tensor::empty({2, 3}, DType::kF32, kMeta) : Tensor::zeros({2, 3});
  ScopedSet path(Context::current().module_path, std::string("layer1.0"));
  const Tensor y = ops::unary(ops::Unary::kRelu, x);
  const Tensor z = ops::add(y, ops::transpose(ops::transpose(x, 0, 1), 0, 1));
  ops::sum(z);
  return recorder.program();
}

}  // namespace

TEST_CASE("recorder: every call in order, with its operands, the same for shape-only tensors") {
  const Program program = record(kCpu);
  std::vector<std::string> names;
  for (const Instruction& i : program.instructions) {
    names.push_back(i.op);
    CHECK(i.module == "layer1.0");
  }
  CHECK(names == std::vector<std::string>{"relu", "transpose", "transpose", "add", "sum"});
  const auto& relu = program.instructions[0];
  const auto& add = program.instructions[3];
  const auto& sum = program.instructions[4];
  CHECK(add.inputs[0] == relu.outputs[0]);
  CHECK(add.inputs[1] == program.instructions[2].outputs[0]);
  CHECK(sum.inputs == add.outputs);
  CHECK(program.values[size_t(sum.outputs[0])].shape == Shape{});

  const Program meta = record(kMeta);
  REQUIRE(meta.instructions.size() == program.instructions.size());
  for (size_t i = 0; i < meta.instructions.size(); ++i) {
    CHECK(meta.instructions[i].op == program.instructions[i].op);
    CHECK(meta.instructions[i].inputs == program.instructions[i].inputs);
    CHECK(meta.instructions[i].outputs == program.instructions[i].outputs);
  }
}

TEST_CASE("recorder: scopes nest, and nothing is recorded outside of one") {
  const Tensor x = Tensor::zeros({2});
  const Recorder outer;
  {
    const Recorder inner;
    ops::unary(ops::Unary::kExp, x);
    CHECK(inner.program().instructions.size() == 1);
  }
  CHECK(outer.program().instructions.empty());
  ops::unary(ops::Unary::kExp, x);
  CHECK(outer.program().instructions.size() == 1);
}

TEST_CASE("profiler: calls and seconds by name") {
  const Profiler profiler;
  const Tensor x = Tensor::zeros({2});
  ops::unary(ops::Unary::kExp, x);
  ops::unary(ops::Unary::kExp, x);
  ops::add(x, x);
  CHECK(profiler.rows().at("exp").calls == 2);
  CHECK(profiler.rows().at("add").calls == 1);
  CHECK(profiler.rows().at("exp").seconds > 0);
}

TEST_CASE("dispatch: fallbacks are counted for f32 only, reference_only is no fallback") {
  Context& context = Context::current();
  context.fallbacks.clear();
  ops::add(Tensor::zeros({2}, DType::kF64), Tensor::zeros({2}, DType::kF64));
  with_reference([] { return ops::add(Tensor::zeros({2}), Tensor::zeros({2})); });
  CHECK(context.fallbacks.empty());
}

TEST_CASE("recorder: a concat of three has three inputs") {
  const Tensor a = Tensor::zeros({1, 2}), b = Tensor::zeros({1, 3}), c = Tensor::zeros({1, 1});
  const Recorder recorder;
  ops::concat({a, b, c}, 1);
  const auto& instructions = recorder.program().instructions;
  REQUIRE(instructions.size() == 1);
  CHECK(instructions[0].inputs.size() == 3);
}

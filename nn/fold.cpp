#include "kintsugi/nn/fold.h"

#include <map>
#include <typeinfo>

#include "kintsugi/nn/layers/layers.h"

namespace kintsugi::nn {

namespace {

void collect(const std::shared_ptr<Module>& module, std::map<std::string, Module*>& by_path) {
  by_path[module->path()] = module.get();
  for (const auto& [name, child] : module->children()) collect(child, by_path);
}

// The module at a path if it is exactly an M: what derives from it may do more.
template <class M>
M* exactly(const std::map<std::string, Module*>& by_path, const std::string& path) {
  const auto found = by_path.find(path);
  if (found == by_path.end() || typeid(*found->second) != typeid(M)) return nullptr;
  return static_cast<M*>(found->second);
}

}  // namespace

Folded fold_into_convolutions(Network& network) {
  network.train(false);
  const autograd::NoGrad no_grad;
  Shape shape = network.input();
  shape.insert(0, 1);
  const Program program = shape_run(network, shape).program;
  std::map<std::string, Module*> by_path;
  for (const auto& [name, child] : network.children()) collect(child, by_path);
  std::map<int, int> readers;
  std::map<std::string, int> runs;  // of a module
  for (const Instruction& instruction : program.instructions) {
    for (const int value : instruction.inputs) ++readers[value];
    ++runs[instruction.module];
  }
  Folded folded;
  std::map<int, Conv2d*> makers;  // of values that one more module can be folded behind
  for (const Instruction& instruction : program.instructions) {
    if (runs[instruction.module] != 1) continue;
    const std::string& path = instruction.module;
    if (instruction.op == "conv2d") {
      Conv2d* conv = exactly<Conv2d>(by_path, path);
      if (conv && !conv->ends_with_relu()) makers[instruction.outputs[0]] = conv;
      continue;
    }
    const int value = instruction.inputs.empty() ? -1 : instruction.inputs[0];
    const auto maker = makers.find(value);
    if (maker == makers.end() || readers[value] != 1) continue;
    if (instruction.op == "batch_norm_eval") {
      BatchNorm2d* norm = exactly<BatchNorm2d>(by_path, path);
      if (!norm) continue;
      norm->fold_into(*maker->second);
      makers[instruction.outputs[0]] = maker->second;
      ++folded.norms;
    } else if (Activation* act = exactly<Activation>(by_path, path)) {
      if (act->fold_into(*maker->second)) ++folded.relus;
    }
  }
  return folded;
}

}  // namespace kintsugi::nn

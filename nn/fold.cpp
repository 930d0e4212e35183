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

int64_t fold_batch_norms(Network& network) {
  network.train(false);
  const autograd::NoGrad no_grad;
  Shape shape = network.input();
  shape.insert(0, 1);
  const Program program = shape_run(network, shape).program;
  std::map<std::string, Module*> by_path;
  for (const auto& [name, child] : network.children()) collect(child, by_path);
  std::map<int, const Instruction*> makers;
  std::map<int, int> readers;
  std::map<std::string, int> runs;  // of a module
  for (const Instruction& instruction : program.instructions) {
    for (const int value : instruction.inputs) ++readers[value];
    for (const int value : instruction.outputs) makers[value] = &instruction;
    ++runs[instruction.module];
  }
  int64_t folded = 0;
  for (const Instruction& instruction : program.instructions) {
    if (instruction.op != "batch_norm_eval") continue;
    const int value = instruction.inputs[0];
    const auto maker = makers.find(value);
    if (maker == makers.end() || maker->second->op != "conv2d" || readers[value] != 1) continue;
    if (runs[instruction.module] != 1 || runs[maker->second->module] != 1) continue;
    Conv2d* conv = exactly<Conv2d>(by_path, maker->second->module);
    BatchNorm2d* norm = exactly<BatchNorm2d>(by_path, instruction.module);
    if (!conv || !norm) continue;
    norm->fold_into(*conv);
    ++folded;
  }
  return folded;
}

}  // namespace kintsugi::nn

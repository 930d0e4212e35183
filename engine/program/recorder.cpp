#include "kintsugi/engine/program/recorder.h"

namespace kintsugi {

Recorder::Recorder() : outer_(Context::current().recorder) { Context::current().recorder = this; }
Recorder::~Recorder() { Context::current().recorder = outer_; }

int Recorder::number_of(const Tensor& x, bool fresh) {
  Key key{x.storage(), x.offset(), x.shape().str() + x.strides().str()};
  const auto found = numbers_.find(key);
  if (found != numbers_.end() && !fresh) return found->second;
  const int number = int(program_.values.size());
  program_.values.push_back({x.shape(), x.dtype()});
  numbers_[std::move(key)] = number;
  kept_.push_back(x);
  return number;
}

void Recorder::record(const OpCall& call) {
  Instruction instruction;
  instruction.op = call.op;
  instruction.module = Context::current().module_path;
  instruction.attributes = call.attributes;
  instruction.macs = call.macs;
  for (const Tensor* x : call.inputs) {
    if (x->defined()) instruction.inputs.push_back(number_of(*x, false));
  }
  for (const Tensor* y : call.outputs) {
    if (y->defined()) instruction.outputs.push_back(number_of(*y, true));
  }
  program_.instructions.push_back(std::move(instruction));
}

Profiler::Profiler() : outer_(Context::current().profiler) { Context::current().profiler = this; }
Profiler::~Profiler() { Context::current().profiler = outer_; }

void Profiler::add(const OpCall& call, double seconds) {
  Row& row = rows_[call.op];
  row.seconds += seconds;
  row.calls += 1;
  row.macs += call.macs;
}

}  // namespace kintsugi

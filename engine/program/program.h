// A recorded run as data: every operator call in order, with shapes, costs and the module it
// belongs to. Cost accounting, profiles and the report read the same record.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kintsugi/engine/core/dtype.h"
#include "kintsugi/engine/core/shape.h"

namespace kintsugi {

struct Instruction {
  std::string op;                // "conv2d"
  std::string module;            // path of the module that called: "layer1.0.conv1"
  std::string attributes;        // "stride=(2,2) padding=(3,3,3,3)", "" where there are none
  std::vector<int> inputs;       // value numbers; values that no instruction made are constants or inputs
  std::vector<int> outputs;
  int64_t macs = 0;              // multiply-adds of convolutions and matrix products
};

struct Value {
  Shape shape;
  DType dtype = DType::kF32;
};

struct Program {
  std::vector<Value> values;
  std::vector<Instruction> instructions;

  int64_t macs() const;
  // MACs of the instructions whose module is `path` or lies under it.
  int64_t macs_under(const std::string& path) const;
};

}  // namespace kintsugi

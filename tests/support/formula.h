// Weights and images from a formula, so that a reference network need not be shipped: value i of tensor
// NAME is splitmix64(fnv1a(NAME) + i * golden ratio), its top 24 bits, scaled by the tensor's role.
#pragma once

#include <cmath>
#include <string>

#include "kintsugi/nn/module.h"

namespace kintsugi::test {

inline double formula_unit(uint64_t name_hash, uint64_t index) {
  uint64_t z = name_hash + index * 0x9E3779B97F4A7C15ull;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  z ^= z >> 31;
  return double(z >> 40) / double(1 << 24);
}

inline uint64_t fnv1a(const std::string& text) {
  uint64_t hash = 0xCBF29CE484222325ull;
  for (const char c : text) hash = (hash ^ uint8_t(c)) * 0x100000001B3ull;
  return hash;
}

inline Tensor formula_tensor(const std::string& name, const Shape& shape, double gain) {
  const std::string leaf = name.substr(name.rfind('.') + 1);
  const auto holds = [&](const char* word) { return leaf.find(word) != std::string::npos; };
  double fan = 1;
  for (int i = 1; i < shape.rank(); ++i) fan *= double(shape[i]);
  Tensor out = Tensor::empty(shape);
  float* values = out.data<float>();
  const uint64_t hash = fnv1a(name);
  for (int64_t i = 0; i < out.numel(); ++i) {
    const double u = formula_unit(hash, uint64_t(i));
    double v = 0.4 * (u - 0.5);
    if (leaf == "running_var") v = 0.5 + u;
    else if (leaf == "running_mean") v = 0.2 * (u - 0.5);
    else if (leaf == "weight" && shape.rank() >= 2) v = (2 * u - 1) * gain * std::sqrt(3 / fan);
    else if (leaf == "weight" || holds("gamma") || holds("scale") || holds("gain") ||
             holds("alpha") || holds("lambda")) v = 0.75 + 0.5 * u;
    else if (leaf.ends_with("bias")) v = 0.2 * (u - 0.5);
    values[i] = float(v);
  }
  return out;
}

inline void fill_by_formula(nn::Module& module, double gain) {
  nn::State state;
  for (const auto& list : {module.named_parameters(), module.named_buffers()}) {
    for (const auto& [name, variable] : list) {
      state[name] = formula_tensor(name, variable.shape(), gain);
    }
  }
  module.load_state(state);
}

inline Tensor formula_images(const Shape& shape) {
  Tensor out = Tensor::empty(shape);
  const uint64_t hash = fnv1a("input");
  for (int64_t i = 0; i < out.numel(); ++i) {
    out.data<float>()[i] = float(2 * formula_unit(hash, uint64_t(i)) - 1);
  }
  return out;
}

}  // namespace kintsugi::test

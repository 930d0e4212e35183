// While it lives, a network stands as every proxy wants it: evaluation mode (running statistics, no
// dropped paths), no gradients held. Afterwards modes, gradients, what wants one, and all values
// are bit for bit what they were, also where an exception passes.
#pragma once

#include <utility>
#include <vector>

#include "kintsugi/nn/module.h"

namespace kintsugi::zoo {

class ProxyScope {
 public:
  explicit ProxyScope(nn::Module& network);
  ~ProxyScope();
  ProxyScope(const ProxyScope&) = delete;
  ProxyScope& operator=(const ProxyScope&) = delete;

  const std::vector<nn::Variable>& parameters() const { return parameters_; }
  const std::vector<nn::Variable>& buffers() const { return buffers_; }
  // Every parameter wants a gradient, frozen or not, or none does.
  void want_gradients(bool on);
  void drop_gradients();

 private:
  struct Kept {
    nn::Variable variable;
    Tensor value, grad;
    bool wanted;
  };
  std::vector<nn::Variable> parameters_, buffers_;
  std::vector<Kept> kept_;
  std::vector<std::pair<nn::Module*, bool>> modes_;  // parents first
};

}  // namespace kintsugi::zoo

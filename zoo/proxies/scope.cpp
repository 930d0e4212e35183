#include "kintsugi/zoo/proxies/scope.h"

namespace kintsugi::zoo {

namespace {

void collect_modes(nn::Module& module, std::vector<std::pair<nn::Module*, bool>>& modes) {
  modes.emplace_back(&module, module.training());
  for (const auto& [name, child] : module.children()) collect_modes(*child, modes);
}

}  // namespace

ProxyScope::ProxyScope(nn::Module& network) {
  for (const auto& [name, variable] : network.named_parameters()) parameters_.push_back(variable);
  for (const auto& [name, variable] : network.named_buffers()) buffers_.push_back(variable);
  for (const auto* list : {&parameters_, &buffers_}) {
    for (const nn::Variable& variable : *list) {
      kept_.push_back({variable, variable.value(), variable.grad(), variable.requires_grad()});
    }
  }
  // Training mode moves running statistics in place.
  for (nn::Variable& variable : buffers_) variable.set_value(variable.value().clone());
  collect_modes(network, modes_);
  network.train(false);
  want_gradients(false);
  drop_gradients();
}

ProxyScope::~ProxyScope() {
  for (Kept& kept : kept_) {
    kept.variable.set_value(kept.value);
    kept.variable.set_grad(kept.grad);
    kept.variable.set_requires_grad(kept.wanted);
  }
  // A parent's mode reaches its children, so theirs are set after it.
  for (const auto& [module, training] : modes_) module->train(training);
}

void ProxyScope::want_gradients(bool on) {
  for (nn::Variable& parameter : parameters_) parameter.set_requires_grad(on);
}

void ProxyScope::drop_gradients() {
  for (nn::Variable& parameter : parameters_) parameter.zero_grad();
}

}  // namespace kintsugi::zoo

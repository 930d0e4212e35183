#include "kintsugi/autograd/optim/optimizer.h"

namespace kintsugi::autograd {

Optimizer::Optimizer(std::vector<ParamGroup> groups, std::vector<std::string> states)
    : groups_(std::move(groups)), names_(std::move(states)) {
  for (const ParamGroup& group : groups_) {
    auto& list = state_.emplace_back();
    for (const auto& [name, parameter] : group.params) {
      if (!parameter.is_leaf()) fail(ErrorKind::kUsage, "optimizer: '", name, "' is not a leaf");
      auto& tensors = list.emplace_back();
      for (size_t s = 0; s < names_.size(); ++s) {
        Tensor zero = Tensor::empty_like(parameter.value());
        zero.fill(0);
        tensors.push_back(std::move(zero));
      }
    }
  }
}

void Optimizer::step(double lr) {
  ++steps_;
  for (size_t g = 0; g < groups_.size(); ++g) {
    const ParamGroup& group = groups_[g];
    if (group.frozen) continue;
    std::vector<Slot> slots;
    for (size_t i = 0; i < group.params.size(); ++i) {
      const Variable& parameter = group.params[i].second;
      if (!parameter.grad().defined()) continue;
      slots.push_back({parameter.value(), parameter.grad(), state_[g][i]});
    }
    update(slots, lr * group.lr_scale, group.weight_decay);
  }
}

void Optimizer::zero_grad() {
  for (ParamGroup& group : groups_) {
    for (auto& [name, parameter] : group.params) parameter.zero_grad();
  }
}

std::map<std::string, Tensor> Optimizer::state_dict() const {
  std::map<std::string, Tensor> out;
  for (size_t g = 0; g < groups_.size(); ++g) {
    for (size_t i = 0; i < groups_[g].params.size(); ++i) {
      for (size_t s = 0; s < names_.size(); ++s) {
        out[names_[s] + "." + groups_[g].params[i].first] = state_[g][i][s];
      }
    }
  }
  return out;
}

void Optimizer::load_state_dict(const std::map<std::string, Tensor>& state, int64_t steps) {
  std::vector<std::string> details;
  auto own = state_dict();
  for (const auto& [name, tensor] : own) {
    const auto found = state.find(name);
    if (found == state.end()) details.push_back("missing: " + name);
    else if (found->second.shape() != tensor.shape()) details.push_back("wrong shape: " + name);
  }
  for (const auto& [name, tensor] : state) {
    if (!own.contains(name)) details.push_back("unexpected: " + name);
  }
  if (!details.empty()) {
    throw Error(ErrorKind::kFormat,
                "optimizer: its state does not fit in " + std::to_string(details.size()) + " places",
                details);
  }
  for (auto& [name, tensor] : own) tensor.copy_from(state.at(name));
  steps_ = steps;
}

}  // namespace kintsugi::autograd

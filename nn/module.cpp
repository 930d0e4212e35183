#include "kintsugi/nn/module.h"

#include <set>

#include "kintsugi/engine/core/printable.h"
#include "kintsugi/nn/forward_hook.h"

namespace kintsugi::nn {

std::string join_path(const std::string& a, const std::string& b) {
  if (a.empty() || b.empty()) return a + b;
  return a + "." + b;
}

thread_local ForwardHook* ForwardHook::current_ = nullptr;

ForwardHook::ForwardHook(Hook hook) : hook_(std::move(hook)), outer_(current_) { current_ = this; }
ForwardHook::~ForwardHook() { current_ = outer_; }

Variable Module::operator()(const Variable& x) {
  Context& context = Context::current();
  const auto run = [&] {
    if (!context.recorder) return forward(x);
    ScopedSet path(context.module_path, path_);
    return forward(x);
  };
  return ForwardHook::current_ ? ForwardHook::current_->hook_(*this, run()) : run();
}

void Module::train(bool on) {
  training_ = on && !frozen_;
  for (auto& [name, module] : children_) module->train(on);
}

void Module::freeze(bool on) {
  frozen_ = on;
  if (on) training_ = false;
  for (Entry& entry : entries_) {
    if (entry.role == Entry::Role::kParameter) entry.variable.set_requires_grad(!on);
  }
  for (auto& [name, module] : children_) module->freeze(on);
}

void Module::visit(const std::string& prefix,
                   const std::function<void(const std::string&, const Entry&)>& fn) const {
  for (const Entry& entry : entries_) fn(join_path(prefix, entry.name), entry);
  for (const auto& [name, module] : children_) module->visit(join_path(prefix, name), fn);
}

std::vector<std::pair<std::string, Variable>> Module::named_parameters() const {
  std::vector<std::pair<std::string, Variable>> out;
  visit("", [&](const std::string& name, const Entry& entry) {
    if (entry.role != Entry::Role::kBuffer) out.emplace_back(name, entry.variable);
  });
  return out;
}

std::vector<std::pair<std::string, Variable>> Module::named_buffers() const {
  std::vector<std::pair<std::string, Variable>> out;
  visit("", [&](const std::string& name, const Entry& entry) {
    if (entry.role == Entry::Role::kBuffer) out.emplace_back(name, entry.variable);
  });
  return out;
}

int64_t Module::parameter_count() const {
  int64_t count = 0;
  for (const auto& [name, parameter] : named_parameters()) count += parameter.value().numel();
  return count;
}

void Module::initialise(Generator& generator) {
  visit("", [&](const std::string&, const Entry& entry) {
    Variable variable = entry.variable;
    if (!variable.value().is_meta()) return;
    Tensor value = Tensor::empty(variable.shape());
    entry.init(value, generator);
    variable.set_value(value.to(Context::current().device));
  });
}

void Module::to(Device device) {
  visit("", [&](const std::string&, const Entry& entry) {
    Variable variable = entry.variable;
    if (!variable.value().is_meta()) variable.set_value(variable.value().to(device));
  });
}

State Module::state() const {
  State state;
  visit("", [&](const std::string& name, const Entry& entry) {
    state[name] = entry.variable.value().clone();
  });
  return state;
}

void Module::check_state(const State& state) const {
  std::vector<std::string> missing, unexpected, wrong;
  std::set<std::string> known;
  visit("", [&](const std::string& name, const Entry& entry) {
    known.insert(name);
    const auto found = state.find(name);
    if (found == state.end()) {
      missing.push_back("missing: " + name + " " + entry.variable.shape().str());
    } else if (found->second.shape() != entry.variable.shape()) {
      wrong.push_back("wrong shape: " + name + " got " + found->second.shape().str() +
                      ", expected " + entry.variable.shape().str());
    } else if (!is_floating(found->second.dtype())) {
      wrong.push_back("wrong dtype: " + name + " got " +
                      std::string(name_of(found->second.dtype())) + ", expected a floating one");
    }
  });
  for (const auto& [name, tensor] : state) {
    if (!known.contains(name))
      unexpected.push_back("unexpected: " + printable(name) + " " + tensor.shape().str());
  }
  if (!missing.empty() || !unexpected.empty() || !wrong.empty()) {
    std::vector<std::string> details = missing;
    details.insert(details.end(), unexpected.begin(), unexpected.end());
    details.insert(details.end(), wrong.begin(), wrong.end());
    throw Error(ErrorKind::kFormat,
                "weights do not fit: " + std::to_string(missing.size()) + " missing, " +
                    std::to_string(unexpected.size()) + " unexpected, " +
                    std::to_string(wrong.size()) + " of a wrong shape or dtype",
                details);
  }
}

void Module::load_state(const State& state) {
  check_state(state);
  visit("", [&](const std::string& name, const Entry& entry) {
    Variable variable = entry.variable;
    Tensor value = Tensor::empty(variable.shape(), DType::kF32, Context::current().device);
    value.copy_from(state.at(name));
    variable.set_value(std::move(value));
  });
}

void Module::load_state(State&& state) {
  check_state(state);
  // Training writes in place, so what two names share must become two tensors.
  std::map<const void*, int> uses;
  for (const auto& [name, tensor] : state) ++uses[tensor.storage()];
  visit("", [&](const std::string& name, const Entry& entry) {
    Variable variable = entry.variable;
    Tensor value = std::move(state.at(name));
    const bool whole = value.offset() == 0 && value.is_contiguous() && uses[value.storage()] == 1;
    const Device device = Context::current().device;
    if (!whole || value.dtype() != DType::kF32 || value.device() != device) {
      const Tensor source = std::move(value);
      value = Tensor::empty(variable.shape(), DType::kF32, device);
      value.copy_from(source);
    }
    variable.set_value(std::move(value));
  });
}

void Module::set_path(const std::string& path) {
  path_ = path;
  for (auto& [name, module] : children_) module->set_path(join_path(path, name));
}

Variable Module::parameter(const std::string& name, const Shape& shape, Init init) {
  Variable variable(Tensor::empty(shape, DType::kF32, kMeta), true);
  entries_.push_back({name, variable, std::move(init), Entry::Role::kParameter});
  return variable;
}

Variable Module::fixed_parameter(const std::string& name, const Shape& shape, Init init) {
  Variable variable(Tensor::empty(shape, DType::kF32, kMeta));
  entries_.push_back({name, variable, std::move(init), Entry::Role::kFixed});
  return variable;
}

Variable Module::buffer(const std::string& name, const Shape& shape, double value) {
  Variable variable(Tensor::empty(shape, DType::kF32, kMeta));
  entries_.push_back(
      {name, variable, [value](Tensor& x, Generator&) { x.fill(value); }, Entry::Role::kBuffer});
  return variable;
}

Variable Sequential::forward(const Variable& x) {
  Variable y = x;
  for (const auto& [name, module] : children()) y = (*module)(y);
  return y;
}

}  // namespace kintsugi::nn

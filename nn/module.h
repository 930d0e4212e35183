// Modules: named parameters and buffers under PyTorch's and timm's names, one input, one output.
//
// Constructors make shapes only (device meta): a network of a billion parameters is described in
// microseconds. Weights come once, from initialise() or load_state().
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "kintsugi/autograd/variable.h"
#include "kintsugi/engine/core/random.h"

namespace kintsugi::nn {

using autograd::Variable;

// Fills a fresh tensor (row major, f32).
using Init = std::function<void(Tensor&, Generator&)>;

using State = std::map<std::string, Tensor>;

class Module {
 public:
  Module() = default;
  virtual ~Module() = default;
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;

  Variable operator()(const Variable& x);

  // Training mode: batch statistics and dropped paths. Also of all children.
  virtual void train(bool on = true);
  bool training() const { return training_; }

  // In order of registration, children in place, with full names ("layer1.0.conv1.weight").
  std::vector<std::pair<std::string, Variable>> named_parameters() const;
  std::vector<std::pair<std::string, Variable>> named_buffers() const;
  int64_t parameter_count() const;

  // A frozen module's parameters want no gradient and its norms keep their running statistics.
  void freeze(bool on = true);
  bool frozen() const { return frozen_; }

  // Moves all parameters and buffers; gradients are dropped. Weights loaded or initialised later go to
  // Context's device.
  void to(Device device);
  // Gives every tensor that is still shape-only its initial value.
  void initialise(Generator& generator);
  // Copies of all parameters and buffers, keyed by full name.
  State state() const;
  // Strict: a missing, unexpected or misshapen tensor is an Error that lists all of them, and then
  // nothing is changed. Tensors of other floating dtypes are converted to f32.
  void load_state(const State& state);
  // The same, with tensors that nobody else will use again: those that can be are taken over as they
  // are, so that a large network never lies in memory twice.
  void load_state(State&& state);

  const std::string& path() const { return path_; }
  // Names this module and everything under it; a network calls it on its root.
  void set_path(const std::string& path);

  // Registers a child. A name may hold dots ("layer1.0"); an empty name adds no level.
  template <class M>
  M& adopt(const std::string& name, std::shared_ptr<M> module) {
    M& reference = *module;
    children_.emplace_back(name, std::move(module));
    return reference;
  }
  const std::vector<std::pair<std::string, std::shared_ptr<Module>>>& children() const {
    return children_;
  }

 protected:
  virtual Variable forward(const Variable& x) = 0;

  Variable parameter(const std::string& name, const Shape& shape, Init init);
  // A parameter that is counted and stored, but never trained.
  Variable fixed_parameter(const std::string& name, const Shape& shape, Init init);
  Variable buffer(const std::string& name, const Shape& shape, double value);
  // This module, children aside, has no parameters and buffers from now on.
  void forget_tensors() { entries_.clear(); }
  template <class M, class... Args>
  M& child(const std::string& name, Args&&... args) {
    return adopt(name, std::make_shared<M>(std::forward<Args>(args)...));
  }

 private:
  struct Entry {
    std::string name;
    Variable variable;
    Init init;
    enum class Role { kParameter, kFixed, kBuffer } role;
  };
  void check_state(const State& state) const;
  void visit(const std::string& prefix,
             const std::function<void(const std::string&, const Entry&)>& fn) const;
  std::vector<Entry> entries_;
  std::vector<std::pair<std::string, std::shared_ptr<Module>>> children_;
  std::string path_;
  bool training_ = false;
  bool frozen_ = false;
};

// Applies modules in turn.
class Sequential : public Module {
 public:
  template <class M, class... Args>
  M& add(const std::string& name, Args&&... args) {
    return child<M>(name, std::forward<Args>(args)...);
  }

 protected:
  Variable forward(const Variable& x) override;
};

class Identity : public Module {
 protected:
  Variable forward(const Variable& x) override { return x; }
};

// Joins two parts of a name, either of which may be empty.
std::string join_path(const std::string& a, const std::string& b);

}  // namespace kintsugi::nn

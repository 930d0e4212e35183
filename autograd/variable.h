// Reverse-mode differentiation. A Variable is a Tensor with the node of the tape that made it;
// backward() runs the tape from a scalar to the leaves. Second derivatives are not taken.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "kintsugi/engine/core/context.h"
#include "kintsugi/engine/core/tensor.h"

namespace kintsugi::autograd {

class Variable;
using Tensors = std::vector<Tensor>;

// Which inputs of a node want a gradient.
using Wants = std::vector<bool>;

// Given dy (the node's value's shape): a gradient for each input, undefined where not wanted. It is
// cast to its input's dtype.
using Backward = std::function<Tensors(const Tensor& dy, const Wants& wants)>;

// A value that a backward reads again. get() refuses one that was overwritten in the meantime.
class Saved {
 public:
  Saved() = default;
  Saved(const Tensor& x) : tensor_(x), version_(x.defined() ? x.version() : 0) {}  // NOLINT: implicit
  const Tensor& get() const;

 private:
  Tensor tensor_;
  uint64_t version_ = 0;
};

class Variable {
 public:
  Variable() = default;  // undefined: an absent bias, say
  explicit Variable(Tensor value, bool requires_grad = false);

  bool defined() const { return impl_ != nullptr; }
  explicit operator bool() const { return defined(); }
  const Tensor& value() const;      // undefined for an undefined Variable
  const Shape& shape() const { return value().shape(); }
  int64_t size(int dim) const { return value().size(dim); }
  int rank() const { return value().rank(); }

  bool requires_grad() const;
  void set_requires_grad(bool on);      // leaves only
  void set_value(Tensor value);         // leaves only: weights from a file; drops the gradient
  const Tensor& grad() const;           // undefined until backward() reached this leaf
  void set_grad(Tensor grad);
  void zero_grad();                     // drops the gradient
  void accumulate_grad(const Tensor& grad);
  bool is_leaf() const;
  Variable detach() const;              // the same value, no tape

  // d(this)/d(leaf) into every leaf's grad(), added to what is there. This must have one element.
  // The tape is freed on the way. A node without a gradient is an Error that names its op.
  void backward() const;
  void backward(const Tensor& dy) const;  // any shape, from a given gradient

  const void* id() const { return impl_.get(); }

 private:
  friend Variable differentiable(const char* op, Tensor value, std::vector<Variable> inputs,
                                 Backward backward);
  struct Impl;
  struct Edge;
  struct Node;
  std::shared_ptr<Impl> impl_;
};

// The result of an operator with its tape rule. Where gradients are off or no input wants one, the
// rule is dropped and the result is a plain value. Undefined inputs are allowed and want nothing.
Variable differentiable(const char* op, Tensor value, std::vector<Variable> inputs, Backward backward);

// The result of an operator without a gradient: backward() through it is an Error that names it.
Variable not_differentiable(const char* op, Tensor value, std::vector<Variable> inputs);

// No tape is kept in this scope.
class NoGrad : ScopedSet<bool> {
 public:
  NoGrad() : ScopedSet(Context::current().grad_enabled, false) {}
};

// Runs fn(inputs) without keeping its activations; backward() runs it a second time, with the same
// random numbers, and differentiates that. fn may use parameters of its own: their gradients are
// accumulated directly. (Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost".)
Variable checkpoint(std::function<Variable(const std::vector<Variable>&)> fn,
                    std::vector<Variable> inputs);

}  // namespace kintsugi::autograd

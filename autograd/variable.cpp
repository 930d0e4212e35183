#include "kintsugi/autograd/variable.h"

#include <algorithm>
#include <atomic>
#include <unordered_map>
#include <unordered_set>

#include "kintsugi/engine/ops/elementwise.h"
#include "kintsugi/engine/ops/layout.h"

namespace kintsugi::autograd {

// The tape's side of a variable. Edges of the tape point here, not to values: an activation lives only
// as long as some backward (or the program) still reads it.
struct Variable::Edge {
  Shape shape;
  DType dtype = DType::kF32;
  Tensor grad;
  bool requires_grad = false;
  std::shared_ptr<Node> node;
  const char* freed = nullptr;  // the operator whose node a backward ran and freed

  ~Edge();
  void describe(const Tensor& value) {
    shape = value.shape();
    dtype = value.dtype();
  }
  void require_tape() const {
    if (!freed) return;
    fail(ErrorKind::kUsage, "backward: the tape below ", freed, " (shape ", shape,
         ") was freed by an earlier backward; run the forward again, or sum the losses first");
  }
};

struct Variable::Node {
  const char* op;
  uint64_t sequence;  // order of creation: every node is younger than its inputs
  std::vector<std::shared_ptr<Edge>> inputs;  // null where an input wants no gradient
  Backward backward;
};

struct Variable::Impl {
  Tensor value;
  std::shared_ptr<Edge> edge = std::make_shared<Edge>();
};

// Drops a long tape iteratively: the recursion of destructors would overflow the stack.
Variable::Edge::~Edge() {
  std::vector<std::shared_ptr<Node>> pending;
  if (node) pending.push_back(std::move(node));
  while (!pending.empty()) {
    const std::shared_ptr<Node> top = std::move(pending.back());
    pending.pop_back();
    if (top.use_count() > 1) continue;
    for (std::shared_ptr<Edge>& input : top->inputs) {
      if (input && input.use_count() == 1 && input->node) pending.push_back(std::move(input->node));
    }
  }
}

const Tensor& Saved::get() const {
  if (tensor_.defined() && tensor_.version() != version_) {
    fail(ErrorKind::kUsage, "backward: a saved value of shape ", tensor_.shape(),
         " was overwritten after the forward (version ", tensor_.version(), ", expected ", version_,
         ")");
  }
  return tensor_;
}

Variable::Variable(Tensor value, bool requires_grad) : impl_(std::make_shared<Impl>()) {
  if (value.defined()) impl_->edge->describe(value);
  impl_->value = std::move(value);
  impl_->edge->requires_grad = requires_grad;
}

const Tensor& Variable::value() const {
  static const Tensor kUndefined;
  return impl_ ? impl_->value : kUndefined;
}

bool Variable::requires_grad() const { return impl_ && impl_->edge->requires_grad; }
bool Variable::is_leaf() const { return !impl_ || (!impl_->edge->node && !impl_->edge->freed); }

void Variable::set_requires_grad(bool on) {
  if (!is_leaf()) fail(ErrorKind::kUsage, "set_requires_grad: not a leaf");
  impl_->edge->requires_grad = on;
}

void Variable::set_value(Tensor value) {
  if (!is_leaf()) fail(ErrorKind::kUsage, "set_value: not a leaf");
  impl_->edge->describe(value);
  impl_->value = std::move(value);
  impl_->edge->grad = Tensor();
}

const Tensor& Variable::grad() const {
  static const Tensor kUndefined;
  return impl_ ? impl_->edge->grad : kUndefined;
}

void Variable::set_grad(Tensor grad) { impl_->edge->grad = std::move(grad); }
void Variable::zero_grad() { impl_->edge->grad = Tensor(); }

void Variable::accumulate_grad(const Tensor& grad) {
  Tensor& held = impl_->edge->grad;
  if (held.defined()) ops::add_in_place(held, grad);
  else if (grad.shares_storage_with(impl_->value)) held = grad.clone();
  else held = grad;
}

Variable Variable::detach() const { return Variable(value()); }

Variable differentiable(const char* op, Tensor value, std::vector<Variable> inputs,
                        Backward backward) {
  Variable result(std::move(value));
  const bool wanted = Context::current().grad_enabled &&
                      std::any_of(inputs.begin(), inputs.end(),
                                  [](const Variable& x) { return x.requires_grad(); });
  if (!wanted) return result;
  static std::atomic<uint64_t> sequence{0};
  std::vector<std::shared_ptr<Variable::Edge>> edges;
  edges.reserve(inputs.size());
  for (const Variable& x : inputs) edges.push_back(x.requires_grad() ? x.impl_->edge : nullptr);
  result.impl_->edge->requires_grad = true;
  result.impl_->edge->node = std::make_shared<Variable::Node>(
      Variable::Node{op, ++sequence, std::move(edges), std::move(backward)});
  return result;
}

Variable not_differentiable(const char* op, Tensor value, std::vector<Variable> inputs) {
  return differentiable(op, std::move(value), std::move(inputs),
                        [op](const Tensor&, const Wants&) -> Tensors {
                          fail(ErrorKind::kMissing, "backward: ", op, " has no gradient");
                        });
}

void Variable::backward() const {
  if (!defined()) fail(ErrorKind::kUsage, "backward: of an undefined variable");
  if (value().numel() != 1) {
    fail(ErrorKind::kShape, "backward: got shape ", shape(), ", expected one element");
  }
  backward(Tensor::full(shape(), 1.0, value().dtype(), value().device()));
}

void Variable::backward(const Tensor& dy) const {
  if (!requires_grad()) fail(ErrorKind::kUsage, "backward: no leaf of this value wants a gradient");
  if (dy.shape() != shape()) {
    fail(ErrorKind::kShape, "backward: got a gradient of shape ", dy.shape(), ", expected ", shape());
  }
  impl_->edge->require_tape();
  if (is_leaf()) {
    Tensor& held = impl_->edge->grad;
    held.defined() ? ops::add_in_place(held, dy) : void(held = dy.clone());
    return;
  }
  NoGrad no_grad;

  // Sequence numbers order the nodes topologically. Entries are dropped as they run, so that
  // activations die as early as they can.
  std::vector<std::shared_ptr<Edge>> order{impl_->edge};
  std::unordered_set<Edge*> seen{impl_->edge.get()};
  for (size_t i = 0; i < order.size(); ++i) {
    // Not a reference into `order`, which grows.
    const std::shared_ptr<Node> node = order[i]->node;
    for (const std::shared_ptr<Edge>& input : node->inputs) {
      if (input) input->require_tape();
      if (input && input->node && seen.insert(input.get()).second) order.push_back(input);
    }
  }
  std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
    return a->node->sequence > b->node->sequence;
  });

  struct Pending {
    Tensor grad;
    bool owned = false;  // made by a sum here: nobody else holds it
  };
  std::unordered_map<Edge*, Pending> pending;
  pending[impl_->edge.get()] = {dy, false};
  for (std::shared_ptr<Edge>& entry : order) {
    const std::shared_ptr<Edge> current = std::move(entry);
    const std::shared_ptr<Node> node = std::move(current->node);
    current->freed = node->op;
    const auto found = pending.find(current.get());
    if (found == pending.end()) continue;
    const Tensor grad = std::move(found->second.grad);
    pending.erase(found);
    Wants wants;
    for (const auto& input : node->inputs) wants.push_back(input != nullptr);
    Tensors grads = node->backward(grad, wants);
    if (grads.size() != wants.size()) {
      fail(ErrorKind::kMissing, "backward: ", node->op, " gave ", grads.size(), " gradients for ",
           wants.size(), " inputs");
    }
    for (size_t i = 0; i < wants.size(); ++i) {
      if (!wants[i]) continue;
      Edge& target = *node->inputs[i];
      if (!grads[i].defined()) {
        fail(ErrorKind::kMissing, "backward: ", node->op, " has no gradient for input ", i);
      }
      if (grads[i].shape() != target.shape) {
        fail(ErrorKind::kShape, "backward: ", node->op, " gave shape ", grads[i].shape(),
             " for input ", i, " of shape ", target.shape);
      }
      grads[i] = ops::cast(grads[i], target.dtype);  // bf16 activations beside f32 parameters
      // The same tensor may reach two inputs (x + x), so sums never write into one not made here.
      const auto sum_into = [&](Tensor& held, bool owned) {
        if (owned) ops::add_in_place(held, grads[i]);
        else held = ops::add(held, grads[i]);
      };
      if (!target.node) {  // a leaf
        if (target.grad.defined()) sum_into(target.grad, false);
        else target.grad = grads[i];
      } else {
        Pending& slot = pending[&target];
        if (slot.grad.defined()) {
          sum_into(slot.grad, slot.owned);
          slot.owned = true;
        } else {
          slot.grad = grads[i];
        }
      }
    }
  }
}

Variable checkpoint(std::function<Variable(const std::vector<Variable>&)> fn,
                    std::vector<Variable> inputs) {
  const Generator before = Context::current().generator;
  Tensor value;
  {
    NoGrad no_grad;
    std::vector<Variable> detached;
    for (const Variable& x : inputs) detached.push_back(x ? x.detach() : x);
    value = fn(detached).value();
  }
  // The parameters that fn uses are not among its inputs: a token that wants a gradient keeps the
  // node on the tape even where no input does.
  std::vector<Variable> edges = inputs;
  edges.push_back(Variable(Tensor::zeros({}, value.dtype(), value.device()), true));
  std::vector<Saved> saved;
  for (const Variable& x : inputs) saved.push_back(x.value());
  return differentiable(
      "checkpoint", value, edges,
      [fn = std::move(fn), saved, before](const Tensor& dy, const Wants& wants) {
        Context& context = Context::current();
        ScopedSet generator(context.generator, before);
        ScopedSet grad(context.grad_enabled, true);
        ScopedSet recomputing(context.recomputing, true);
        std::vector<Variable> leaves;
        for (size_t i = 0; i < saved.size(); ++i) {
          const Tensor& x = saved[i].get();
          leaves.push_back(x.defined() ? Variable(x, wants[i]) : Variable());
        }
        const Variable y = fn(leaves);
        if (y.requires_grad()) y.backward(dy);
        Tensors grads;
        for (size_t i = 0; i < leaves.size(); ++i) {
          Tensor g = leaves[i].grad();
          if (wants[i] && !g.defined()) g = Tensor::zeros(leaves[i].shape(), dy.dtype(), dy.device());
          grads.push_back(std::move(g));
        }
        grads.push_back(Tensor::zeros({}, dy.dtype(), dy.device()));
        return grads;
      });
}

}  // namespace kintsugi::autograd

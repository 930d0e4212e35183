#include "kintsugi/nn/network.h"

#include "kintsugi/autograd/ops/layout.h"
#include "kintsugi/engine/ops/reduce.h"
#include "kintsugi/engine/program/recorder.h"

namespace kintsugi::nn {

namespace {

// A shape-only run, whatever device the module's weights are on: a meta input would clash with real
// weights, so they are swapped for shape-only stand-ins meanwhile.
class ShapeOnly {
 public:
  explicit ShapeOnly(Module& module) {
    for (auto& list : {module.named_parameters(), module.named_buffers()}) {
      for (const auto& [name, variable] : list) {
        if (variable.value().is_meta()) continue;
        kept_.emplace_back(variable, variable.value(), variable.grad());
        Variable handle = variable;
        handle.set_value(Tensor::empty(variable.shape(), variable.value().dtype(), kMeta));
      }
    }
    was_training_ = module.training();
    module_ = &module;
    if (was_training_) module.train(false);
  }
  ~ShapeOnly() {
    for (auto& [variable, value, grad] : kept_) {
      variable.set_value(value);
      if (grad.defined()) variable.set_grad(grad);
    }
    if (was_training_) module_->train(true);
  }

 private:
  std::vector<std::tuple<Variable, Tensor, Tensor>> kept_;
  Module* module_;
  bool was_training_;
};

Shape with_batch(const Shape& chw, int64_t n) { return {n, chw[0], chw[1], chw[2]}; }

}  // namespace

ShapeRun shape_run(Module& module, const Shape& input) {
  ShapeOnly shape_only(module);
  autograd::NoGrad no_grad;
  Recorder recorder;
  const Variable y = module(Variable(Tensor::empty(input, DType::kF32, kMeta)));
  return {y.shape(), recorder.program()};
}

Cost cost_of(Module& module, const Shape& input) {
  return {module.parameter_count(), shape_run(module, input).program.macs()};
}

Network::Network(std::string name, const Shape& input, int64_t classes)
    : name_(std::move(name)), input_(input), classes_(classes) {
  if (input.rank() != 3) {
    fail(ErrorKind::kShape, "network ", name_, ": got input ", input, ", expected (C,H,W)");
  }
}

void Network::set_stem(const std::string& name, std::shared_ptr<Module> stem,
                       const FeatureShape* tokens) {
  stem->set_path(name);
  const Shape out = shape_run(*stem, with_batch(input_, 1)).output;
  stem_out_ = tokens ? *tokens : FeatureShape::grid(out[1], out[2], out.rank() == 4 ? out[3] : 1);
  if (stem_out_.tensor_shape(1) != out) {
    fail(ErrorKind::kShape, "network ", name_, ": the stem gives ", out, ", expected ",
         stem_out_.tensor_shape(1));
  }
  stem_ = std::move(stem);
  adopt(name, stem_);
}

void Network::add_block(const std::string& name, std::shared_ptr<Module> block) {
  add_block(name, std::move(block), name, nullptr);
}

void Network::add_block(const std::string& name, std::shared_ptr<Module> block,
                        const std::string& prefix, const FeatureShape* out) {
  const FeatureShape in = feature_at(positions() - 1);
  block->set_path(prefix);
  const Shape shape = shape_run(*block, in.tensor_shape(1)).output;
  FeatureShape result = out ? *out : in;
  if (!out && shape.rank() == 4) result = FeatureShape::grid(shape[1], shape[2], shape[3]);
  if (!out && shape.rank() == 3) result.c = shape[2];
  if (result.tensor_shape(1) != shape) {
    fail(ErrorKind::kShape, "network ", name_, ": block ", name, " gives ", shape, ", expected ",
         result.tensor_shape(1));
  }
  adopt(prefix, block);
  blocks_.push_back({name, std::move(block), in, result});
}

void Network::set_head(const std::string& name, std::shared_ptr<Module> head) {
  head->set_path(name);
  const Shape out = shape_run(*head, feature_at(positions() - 1).tensor_shape(1)).output;
  if (classes_ == 0 && out.rank() == 2) {
    classes_ = out[1];
    classifier.clear();
  }
  if (out != Shape{1, classes_}) {
    fail(ErrorKind::kShape, "network ", name_, ": the head gives ", out, ", expected ",
         Shape{1, classes_});
  }
  head_ = std::move(head);
  adopt(name, head_);
}

const FeatureShape& Network::feature_at(int64_t position) const {
  if (position < 0 || position >= positions()) {
    fail(ErrorKind::kUsage, "network ", name_, ": got position ", position, ", expected 0 to ",
         positions() - 1);
  }
  return position == 0 ? stem_out_ : blocks_[size_t(position - 1)].out;
}

Variable Network::run(const Variable& x, int64_t from, int64_t to) {
  Variable y = x;
  for (int64_t i = from; i < to; ++i) y = (*blocks_.at(size_t(i)).module)(y);
  return y;
}

Variable Network::forward(const Variable& images) {
  if (images.rank() != 4 || images.size(1) != input_[0]) {
    fail(ErrorKind::kShape, "network ", name_, ": got images ", images.shape(), ", expected (N,",
         input_[0], ",H,W)");
  }
  // No feature outlives the block that reads it.
  Variable x = (*stem_)(images);
  for (const Block& block : blocks_) x = (*block.module)(x);
  return logits_of(x);
}

Variable Network::forward_features(const Variable& images,
                                   const std::function<void(int64_t, const Variable&)>& at) {
  Variable x = (*stem_)(images);
  at(0, x);
  for (size_t i = 0; i < blocks_.size(); ++i) {
    x = (*blocks_[i].module)(x);
    at(int64_t(i) + 1, x);
  }
  return logits_of(x);
}

Variable Network::logits_of(const Variable& feature) {
  const Variable y = (*head_)(feature);
  return autograd::cast(y, parameter_dtype(y.value().dtype()));
}

Cost Network::stem_cost() { return cost_of(*stem_, with_batch(input_, 1)); }

Cost Network::block_cost(int64_t index) {
  const Block& block = blocks_.at(size_t(index));
  return cost_of(*block.module, block.in.tensor_shape(1));
}

Cost Network::head_cost() { return cost_of(*head_, feature_at(positions() - 1).tensor_shape(1)); }

Cost Network::cost() { return cost_of(*this, with_batch(input_, 1)); }

Tensor pooled(const Variable& x) {
  const Tensor& value = x.value();
  return value.rank() == 4 ? ops::mean(value, {2, 3}) : ops::mean(value, {1});
}

}  // namespace kintsugi::nn

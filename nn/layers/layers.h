// The layers that blocks are made of. Grids are (N,C,H,W), tokens (N,T,C).
#pragma once

#include <optional>

#include "kintsugi/engine/ops/conv.h"
#include "kintsugi/engine/ops/elementwise.h"
#include "kintsugi/engine/ops/pool.h"
#include "kintsugi/nn/init.h"
#include "kintsugi/nn/module.h"

namespace kintsugi::nn {

class Conv2d : public Module {
 public:
  struct Options {
    int64_t kernel = 1, stride = 1, padding = 0, groups = 1;
    bool bias = false;
    bool same = false;  // TensorFlow's SAME in place of `padding`: it follows the input's size
    Init init = {};  // default: kaiming_normal_fan_out
  };
  Conv2d(int64_t in, int64_t out, const Options& options);
  // y becomes scale * y + shift, a number each for every channel: f64 on the CPU, shape (out).
  void scale_outputs(const Tensor& scale, const Tensor& shift);
  // y becomes max(0, y).
  void append_relu() { params_.relu = true; }
  bool ends_with_relu() const { return params_.relu; }

 protected:
  Variable forward(const Variable& x) override;

 private:
  ops::Conv2dParams params_;
  bool same_;
  Variable weight_, bias_;
};

class Linear : public Module {
 public:
  Linear(int64_t in, int64_t out, bool bias = true, Init init = {});  // default: trunc_normal

 protected:
  Variable forward(const Variable& x) override;

 private:
  Variable weight_, bias_;
};

class BatchNorm2d : public Module {
 public:
  explicit BatchNorm2d(int64_t channels, double weight = 1, double epsilon = 1e-5);
  double epsilon() const { return epsilon_; }
  // The convolution, which ends without ReLU, does this norm's work in evaluation from now on; what it
  // gets passes through.
  void fold_into(Conv2d& conv);

 protected:
  Variable forward(const Variable& x) override;

 private:
  double epsilon_;
  bool folded_ = false;
  Variable weight_, bias_, running_mean_, running_var_;
};

// Over the channels of tokens (the last dimension) or of a grid (dimension 1).
class LayerNorm : public Module {
 public:
  LayerNorm(int64_t channels, double epsilon = 1e-6, bool bias = true);

 protected:
  Variable forward(const Variable& x) override;

 private:
  double epsilon_;
  Variable weight_, bias_;
};

// x / rms(x) * weight, over what LayerNorm is over (Zhang & Sennrich 2019). With `about_mean`, rms
// is the square root of the unbiased variance (timm's SimpleNorm).
class RmsNorm : public Module {
 public:
  RmsNorm(int64_t channels, double epsilon = 1e-6, bool about_mean = false);

 protected:
  Variable forward(const Variable& x) override;

 private:
  double epsilon_;
  bool about_mean_;
  Variable weight_;
};

class GroupNorm : public Module {
 public:
  GroupNorm(int64_t groups, int64_t channels, double epsilon = 1e-5, bool bias = true,
            double weight = 1);

 protected:
  Variable forward(const Variable& x) override;

 private:
  int64_t groups_;
  double epsilon_;
  Variable weight_, bias_;
};

enum class Act {
  kNone,
  kRelu,
  kRelu6,
  kGelu,
  kGeluTanh,
  kQuickGelu /* x sigmoid(1.702 x) */,
  kSilu,
  kHardswish,
  kSigmoid,
  kHardsigmoid,
  kTanh,
  kStarRelu,
  kSquaredRelu
};

// Without parameters, but for StarReLU's learnt scale and bias.
class Activation : public Module {
 public:
  explicit Activation(Act act);
  // Of ReLU alone: the convolution does its work from now on. False, with nothing done, of others.
  bool fold_into(Conv2d& conv);

 protected:
  Variable forward(const Variable& x) override;

 private:
  Act act_;
  Variable scale_, bias_;
};

// While it lives, this thread's activations (those of stitches too) show their inputs: the codes of
// training-free proxies are read there.
class ObserveActivations {
 public:
  explicit ObserveActivations(std::function<void(const Tensor& pre_activation)> observer);
  ~ObserveActivations();
  ObserveActivations(const ObserveActivations&) = delete;
  ObserveActivations& operator=(const ObserveActivations&) = delete;
  static void show(const Variable& x);

 private:
  std::function<void(const Tensor&)> observer_;
  ObserveActivations* outer_;
};

class MaxPool2d : public Module {
 public:
  explicit MaxPool2d(const ops::Pool2dParams& params) : params_(params) {}

 protected:
  Variable forward(const Variable& x) override;

 private:
  ops::Pool2dParams params_;
};

class AvgPool2d : public Module {
 public:
  explicit AvgPool2d(const ops::Pool2dParams& params) : params_(params) {}

 protected:
  Variable forward(const Variable& x) override;

 private:
  ops::Pool2dParams params_;
};

// Grid (N,C,H,W) -> (N,C), or (N,C,1,1) where `keep_grid`.
class GlobalAvgPool : public Module {
 public:
  explicit GlobalAvgPool(bool keep_grid = false) : keep_grid_(keep_grid) {}

 protected:
  Variable forward(const Variable& x) override;

 private:
  bool keep_grid_;
};

// Stochastic depth (Huang et al. 2016): in training, whole samples of a residual branch are dropped
// with probability p and the others scaled by 1/(1-p).
class DropPath : public Module {
 public:
  explicit DropPath(double p) : p_(p) {}

 protected:
  Variable forward(const Variable& x) override;

 private:
  double p_;
};

// gate(conv_expand(act(conv_reduce(mean(x))))) * x (Hu et al. 2018). `names`: timm calls the two
// convolutions fc1, fc2 or conv_reduce, conv_expand.
class SqueezeExcite : public Module {
 public:
  SqueezeExcite(int64_t channels, int64_t reduced, const std::string& reduce_name,
                const std::string& expand_name, Act gate = Act::kSigmoid, Act act = Act::kRelu);

 protected:
  Variable forward(const Variable& x) override;

 private:
  Conv2d &reduce_, &expand_;
  Activation &act_, &gate_;
};

}  // namespace kintsugi::nn

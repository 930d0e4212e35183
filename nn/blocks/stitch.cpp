#include "kintsugi/nn/blocks/stitch.h"

#include <cmath>

#include "kintsugi/autograd/ops/elementwise.h"
#include "kintsugi/autograd/ops/layout.h"
#include "kintsugi/autograd/ops/pool.h"
#include "kintsugi/autograd/ops/resize.h"

namespace kintsugi::nn {

namespace {

std::shared_ptr<Module> make_norm(int64_t channels, StitchForm form, bool tokens) {
  if (form == StitchForm::kLinear) return std::make_shared<Identity>();
  if (tokens) return std::make_shared<LayerNorm>(channels, 1e-5);
  return std::make_shared<BatchNorm2d>(channels);
}

std::shared_ptr<Module> make_projection(int64_t in, int64_t out, StitchForm form, int64_t stride,
                                        bool tokens) {
  const bool bias = form == StitchForm::kLinear;
  if (tokens) return std::make_shared<Linear>(in, out, bias);
  return std::make_shared<Conv2d>(
      in, out, Conv2d::Options{.kernel = stride, .stride = stride, .bias = bias});
}

// The reference strides by the projection's kernel; least squares wants it to see one place only.
int64_t stride_of(const FeatureShape& in, const FeatureShape& out, StitchForm form) {
  const bool integer = out.h > 0 && in.h % out.h == 0 && in.w % out.w == 0 &&
                       in.h / out.h == in.w / out.w;
  return form == StitchForm::kDery && integer ? in.h / out.h : 1;
}

}  // namespace

const char* name_of(StitchForm form) { return form == StitchForm::kDery ? "dery" : "linear"; }

StitchForm stitch_form(const std::string& name) {
  if (name == "dery") return StitchForm::kDery;
  if (name == "linear") return StitchForm::kLinear;
  fail(ErrorKind::kUsage, "stitch form: got '", name, "', expected 'dery' or 'linear'");
}

Stitch::Stitch(const FeatureShape& in, const FeatureShape& out, StitchForm form, int64_t stride)
    : in_(in),
      out_(out),
      form_(form),
      stride_(stride > 0 ? stride : stride_of(in, out, form)),
      on_tokens_(!in.is_grid() && !out.is_grid() && in.h == out.h && in.w == out.w),
      norm_(adopt("norm", make_norm(in.c, form, on_tokens_))),
      project_(adopt("project", make_projection(in.c, out.c, form, stride_, on_tokens_))) {
  out_.prefix_tokens = 0;
}

std::shared_ptr<Module> dery_stem(int64_t in, int64_t channels) {
  auto stem = std::make_shared<Sequential>();
  stem->add<Conv2d>("0", in, channels, Conv2d::Options{.kernel = 7, .stride = 2, .padding = 3});
  stem->add<BatchNorm2d>("1", channels);
  stem->add<Activation>("2", Act::kRelu);
  stem->add<MaxPool2d>("3", ops::Pool2dParams::square(3, 2, 1));
  return stem;
}

const char* Stitch::mode() const {
  if (in_.is_grid()) return out_.is_grid() ? "grid2grid" : "grid2tokens";
  return out_.is_grid() ? "tokens2grid" : "tokens2tokens";
}

Variable Stitch::resample(const Variable& x) const {
  using namespace autograd;
  Variable y = x;
  if (!in_.is_grid()) {
    if (in_.prefix_tokens > 0) y = slice(y, 1, in_.prefix_tokens, y.size(1));
    y = tokens_to_grid(y, in_.h, in_.w);
  }
  if (stride_ > 1 || (in_.h == out_.h && in_.w == out_.w)) return y;
  if (out_.h <= in_.h && out_.w <= in_.w) return adaptive_avg_pool2d(y, out_.h, out_.w);
  return resize2d(y, out_.h, out_.w, ops::Interpolation::kBilinear);
}

Tensor Stitch::rows(const Variable& x) const {
  const Tensor grid = resample(x).value();
  const int64_t n = grid.size(0), c = grid.size(1), s = stride_;
  const int64_t h = grid.size(2) / s, w = grid.size(3) / s;
  // (N,C,OH,s,OW,s) -> (N,OH,OW,C,s,s): the order of a kernel's weights.
  return grid.contiguous().view({n, c, h, s, w, s}).permute({0, 2, 4, 1, 3, 5}).contiguous().view(
      {n * h * w, c * s * s});
}

Variable Stitch::forward(const Variable& x) {
  using namespace autograd;
  Variable y = resample(x);
  if (on_tokens_) y = grid_to_tokens(y);
  y = project_(norm_(y));
  if (form_ == StitchForm::kDery) {
    ObserveActivations::show(y);
    y = leaky_relu(y, 0.1);
  }
  return !on_tokens_ && !out_.is_grid() ? grid_to_tokens(y) : y;
}

void Stitch::set_projection(const Tensor& weight, const Tensor& bias, const Tensor& mean,
                            const Tensor& variance) {
  const int64_t taps = stride_ * stride_;
  if (weight.shape() != Shape{out_.c, in_.c * taps}) {
    fail(ErrorKind::kShape, "stitch: got a projection ", weight.shape(), ", expected ",
         Shape{out_.c, in_.c * taps});
  }
  State state = this->state();
  Tensor projection = weight.to(kCpu).to(DType::kF32).contiguous().clone();
  if (form_ == StitchForm::kDery && !on_tokens_) {
    float* w = projection.data<float>();
    const auto v = variance.to_vector<double>();
    for (int64_t o = 0; o < out_.c; ++o) {
      for (int64_t i = 0; i < in_.c * taps; ++i) {
        w[o * in_.c * taps + i] *= float(std::sqrt(v[size_t(i / taps)] + 1e-5));
      }
    }
    state.at("norm.running_mean") = mean.to(DType::kF32);
    state.at("norm.running_var") = variance.to(DType::kF32);
  }
  state.at("project.weight") = projection.view(state.at("project.weight").shape());
  if (form_ == StitchForm::kLinear) state.at("project.bias") = bias.to(DType::kF32);
  load_state(state);
}

}  // namespace kintsugi::nn

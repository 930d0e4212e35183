#include "kintsugi/nn/blocks/mobilenet.h"

#include "kintsugi/autograd/ops/elementwise.h"
#include "kintsugi/nn/layers/blur_pool.h"
#include "kintsugi/nn/layers/global_context.h"

namespace kintsugi::nn {

namespace {

// The parts of a block in their order, as timm numbers norms.
class Branch : public Sequential {
 public:
  explicit Branch(const MobileBlockOptions& options)
      : options_(options), blurs_(options.blur && options.stride > 1) {}

  // Returns the channels after it.
  int64_t space_to_depth(int64_t in) {
    add<Conv2d>("conv_s2d", in, 4 * in, Conv2d::Options{.kernel = 2, .stride = 2, .same = true});
    adopt("bn_s2d", options_.norm.make(4 * in));
    add<Activation>("act_s2d", options_.act);
    options_.kernel = (options_.kernel + 1) / 2;
    options_.same = options_.same || options_.kernel % 2 == 0;
    return 4 * in;
  }
  void spatial(const std::string& name, int64_t in, int64_t out, int64_t groups) {
    add<Conv2d>(name, in, out,
                Conv2d::Options{.kernel = options_.kernel,
                                .stride = blurs_ ? 1 : options_.stride,
                                .padding = options_.kernel / 2,
                                .groups = groups,
                                .same = options_.same});
    norm(out);
    activation();
    if (blurs_) add<BlurPool2d>("aa", false);
  }
  void depthwise(int64_t channels) {
    spatial("conv_dw", channels, channels, channels / options_.group_size);
  }
  void pointwise(const std::string& name, int64_t in, int64_t out) {
    add<Conv2d>(name, in, out, Conv2d::Options{});
    norm(out);
  }
  void activation() { add<Activation>("act" + std::to_string(norms_), options_.act); }
  void squeeze_excite(int64_t channels) {
    if (options_.se_channels == 0) return;
    if (options_.global_context) {
      add<GlobalContext>("se", channels, options_.se_channels, options_.se_act);
      return;
    }
    add<SqueezeExcite>("se", channels, options_.se_channels, "conv_reduce", "conv_expand",
                       options_.gate, options_.se_act);
  }

 private:
  void norm(int64_t channels) {
    adopt("bn" + std::to_string(++norms_), options_.norm.make(channels));
  }

  MobileBlockOptions options_;
  bool blurs_;
  int norms_ = 0;
};

class Residual : public Module {
 public:
  Residual(std::shared_ptr<Module> branch, double drop_path)
      : branch_(adopt("", std::move(branch))),
        drop_path_(child<DropPath>("drop_path", drop_path)) {}

 protected:
  Variable forward(const Variable& x) override { return autograd::add(drop_path_(branch_(x)), x); }

 private:
  Module& branch_;
  DropPath& drop_path_;
};

}  // namespace

std::shared_ptr<Module> MobileNorm::make(int64_t channels) const {
  switch (kind) {
    case Kind::kBatch:
      return std::make_shared<BatchNorm2d>(channels, 1.0, epsilon);
    case Kind::kGroup:
      return std::make_shared<GroupNorm>(channels / group_size, channels, epsilon);
    case Kind::kLayer:
      return std::make_shared<LayerNorm>(channels, epsilon);
  }
  fail(ErrorKind::kMissing, "mobile block: no norm of number ", int(kind));
}

std::shared_ptr<Module> mobile_block(MobileKind kind, int64_t in, int64_t out,
                                     const MobileBlockOptions& options) {
  auto branch = std::make_shared<Branch>(options);
  switch (kind) {
    case MobileKind::kSeparable: {
      const int64_t inner = options.space_to_depth ? branch->space_to_depth(in) : in;
      branch->depthwise(inner);
      branch->squeeze_excite(inner);
      branch->pointwise("conv_pw", inner, out);
      if (options.act_last) branch->activation();
      break;
    }
    case MobileKind::kInverted:
      branch->pointwise("conv_pw", in, options.inner);
      branch->activation();
      branch->depthwise(options.inner);
      branch->squeeze_excite(options.inner);
      branch->pointwise("conv_pwl", options.inner, out);
      break;
    case MobileKind::kEdge:
      branch->spatial("conv_exp", in, options.inner, 1);
      branch->squeeze_excite(options.inner);
      branch->pointwise("conv_pwl", options.inner, out);
      break;
    case MobileKind::kConv:
      branch->spatial("conv", in, out, 1);
      break;
  }
  const bool keeps_grid = options.stride == 1 && !options.space_to_depth;
  if (!options.shortcut || !keeps_grid || in != out) return branch;
  return std::make_shared<Residual>(std::move(branch), options.drop_path);
}

}  // namespace kintsugi::nn

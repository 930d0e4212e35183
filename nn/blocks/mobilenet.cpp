#include "kintsugi/nn/blocks/mobilenet.h"

#include "kintsugi/autograd/ops/elementwise.h"

namespace kintsugi::nn {

namespace {

// The parts of a block in their order, as timm numbers norms.
class Branch : public Sequential {
 public:
  explicit Branch(const MobileBlockOptions& options) : options_(options) {}

  void spatial(const std::string& name, int64_t in, int64_t out, int64_t groups) {
    add<Conv2d>(name, in, out,
                Conv2d::Options{.kernel = options_.kernel,
                                .stride = options_.stride,
                                .padding = options_.kernel / 2,
                                .groups = groups,
                                .same = options_.same});
    norm(out);
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
    add<SqueezeExcite>("se", channels, options_.se_channels, "conv_reduce", "conv_expand",
                       options_.gate, options_.se_act);
  }

 private:
  void norm(int64_t channels) {
    adopt("bn" + std::to_string(++norms_), options_.norm.make(channels));
  }

  MobileBlockOptions options_;
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
    case MobileKind::kSeparable:
      branch->depthwise(in);
      branch->activation();
      branch->squeeze_excite(in);
      branch->pointwise("conv_pw", in, out);
      break;
    case MobileKind::kInverted:
      branch->pointwise("conv_pw", in, options.inner);
      branch->activation();
      branch->depthwise(options.inner);
      branch->activation();
      branch->squeeze_excite(options.inner);
      branch->pointwise("conv_pwl", options.inner, out);
      break;
    case MobileKind::kEdge:
      branch->spatial("conv_exp", in, options.inner, 1);
      branch->activation();
      branch->squeeze_excite(options.inner);
      branch->pointwise("conv_pwl", options.inner, out);
      break;
    case MobileKind::kConv:
      branch->spatial("conv", in, out, 1);
      branch->activation();
      break;
  }
  if (!options.shortcut || options.stride != 1 || in != out) return branch;
  return std::make_shared<Residual>(std::move(branch), options.drop_path);
}

}  // namespace kintsugi::nn

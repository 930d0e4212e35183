#include "kintsugi/nn/blocks/convnext.h"

#include "kintsugi/autograd/ops/elementwise.h"
#include "kintsugi/autograd/ops/layout.h"

namespace kintsugi::nn {

namespace {

std::shared_ptr<Module> make_mlp(int64_t channels, const ConvNeXtBlockOptions& options) {
  const int64_t hidden = 4 * channels;
  const char* name = options.response_norm ? "grn" : "norm";
  std::shared_ptr<Module> norm;
  if (options.response_norm) norm = std::make_shared<GlobalResponseNorm>(hidden);
  if (options.conv_mlp)
    return std::make_shared<ConvMlp>(channels, hidden, options.act, true, norm, name);
  return std::make_shared<OnTokens>(
      std::make_shared<Mlp>(channels, hidden, options.act, true, norm, name));
}

}  // namespace

std::shared_ptr<Module> ChannelNorm::make(int64_t channels) const {
  if (kind == Kind::kLayer) return std::make_shared<LayerNorm>(channels, epsilon);
  return std::make_shared<RmsNorm>(channels, epsilon, kind == Kind::kSimple);
}

ConvNeXtBlock::ConvNeXtBlock(int64_t channels, const ConvNeXtBlockOptions& options)
    : conv_dw_(child<Conv2d>("conv_dw", channels, channels,
                             Conv2d::Options{.kernel = options.kernel,
                                             .padding = options.kernel / 2,
                                             .groups = channels,
                                             .bias = true,
                                             .init = init::trunc_normal()})),
      norm_(adopt("norm", options.norm.make(channels))),
      mlp_(adopt("mlp", make_mlp(channels, options))),
      drop_path_(child<DropPath>("drop_path", options.drop_path)) {
  if (options.layer_scale != 0) {
    gamma_ = parameter("gamma", {channels}, init::constant(options.layer_scale));
  }
}

Variable ConvNeXtBlock::forward(const Variable& x) {
  using namespace autograd;
  Variable y = mlp_(norm_(conv_dw_(x)));
  if (gamma_.defined()) y = mul(y, reshape(gamma_, {1, gamma_.size(0), 1, 1}));
  return add(x, drop_path_(y));
}

ConvNeXtDownsample::ConvNeXtDownsample(int64_t in, int64_t out, const ChannelNorm& norm)
    : norm_(adopt("0", norm.make(in))),
      conv_(child<Conv2d>(
          "1", in, out,
          Conv2d::Options{.kernel = 2, .stride = 2, .bias = true, .init = init::trunc_normal()})) {}

Variable ConvNeXtDownsample::forward(const Variable& x) {
  return conv_(norm_(x));
}

}  // namespace kintsugi::nn

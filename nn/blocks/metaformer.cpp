#include "kintsugi/nn/blocks/metaformer.h"

#include "kintsugi/autograd/ops/elementwise.h"
#include "kintsugi/autograd/ops/layout.h"
#include "kintsugi/autograd/ops/matmul.h"
#include "kintsugi/autograd/ops/pool.h"
#include "kintsugi/autograd/ops/softmax.h"
#include "kintsugi/nn/blocks/vit.h"

namespace kintsugi::nn {

namespace {

// x * scale, scale (C) along a grid's channels.
class Scale : public Module {
 public:
  Scale(int64_t channels, double value) {
    scale_ = parameter("scale", {channels}, init::constant(value));
  }

 protected:
  Variable forward(const Variable& x) override {
    return autograd::mul(x, autograd::reshape(scale_, {1, scale_.size(0), 1, 1}));
  }

 private:
  Variable scale_;
};

// avgpool3(x) - x, padding not counted.
class Pooling : public Module {
 protected:
  Variable forward(const Variable& x) override {
    ops::Pool2dParams params = ops::Pool2dParams::square(3, 1, 1);
    params.count_include_pad = false;
    return autograd::sub(autograd::avg_pool2d(x, params), x);
  }
};

class SepConv : public Module {
 public:
  SepConv(int64_t channels, int64_t kernel)
      : pwconv1_(child<Conv2d>("pwconv1", channels, 2 * channels,
                               Conv2d::Options{.init = init::trunc_normal()})),
        act1_(child<Activation>("act1", Act::kStarRelu)),
        dwconv_(child<Conv2d>("dwconv", 2 * channels, 2 * channels,
                              Conv2d::Options{.kernel = kernel,
                                              .padding = kernel / 2,
                                              .groups = 2 * channels,
                                              .init = init::trunc_normal()})),
        pwconv2_(child<Conv2d>("pwconv2", 2 * channels, channels,
                               Conv2d::Options{.init = init::trunc_normal()})) {}

 protected:
  Variable forward(const Variable& x) override { return pwconv2_(dwconv_(act1_(pwconv1_(x)))); }

 private:
  Conv2d& pwconv1_;
  Activation& act1_;
  Conv2d &dwconv_, &pwconv2_;
};

// A frozen row-stochastic matrix mixes the tokens ("random_matrix" in the authors' code).
class RandomMixing : public Module {
 public:
  explicit RandomMixing(int64_t tokens) {
    if (tokens < 1) fail(ErrorKind::kUsage, "random mixer: needs a fixed number of tokens");
    matrix_ = fixed_parameter("random_matrix", {tokens, tokens}, [](Tensor& x, Generator& g) {
      g.uniform(x, 0, 1);
      autograd::NoGrad no_grad;
      x.copy_from(autograd::softmax(Variable(x), -1).value());
    });
  }

 protected:
  Variable forward(const Variable& x) override { return autograd::matmul(matrix_, x); }

 private:
  Variable matrix_;
};

std::shared_ptr<Module> make_mixer(int64_t channels, const MetaBlockOptions& options) {
  switch (options.mixer) {
    case Mixer::kIdentity:
      return std::make_shared<Identity>();
    case Mixer::kRandom:
      return std::make_shared<OnTokens>(std::make_shared<RandomMixing>(options.tokens));
    case Mixer::kPooling:
      return std::make_shared<Pooling>();
    case Mixer::kSepConv:
      return std::make_shared<SepConv>(channels, options.kernel);
    case Mixer::kAttention:
      return std::make_shared<OnTokens>(std::make_shared<Attention>(
          channels,
          AttentionOptions{
              .heads = channels / options.head_width, .qkv_bias = false, .proj_bias = false}));
  }
  fail(ErrorKind::kMissing, "metaformer: no mixer of number ", int(options.mixer));
}

std::shared_ptr<Module> make_mlp(int64_t channels, const MetaBlockOptions& options) {
  const int64_t hidden = int64_t(double(channels) * options.mlp_ratio);
  if (options.mixer == Mixer::kAttention) {
    return std::make_shared<OnTokens>(
        std::make_shared<Mlp>(channels, hidden, options.act, options.mlp_bias));
  }
  return std::make_shared<ConvMlp>(channels, hidden, options.act, options.mlp_bias);
}

std::shared_ptr<Module> make_scale(bool on, int64_t channels, double value) {
  if (!on) return std::make_shared<Identity>();
  return std::make_shared<Scale>(channels, value);
}

}  // namespace

std::shared_ptr<Module> make_meta_norm(MetaNorm norm, int64_t channels) {
  switch (norm) {
    case MetaNorm::kGroupNorm1:
      return std::make_shared<GroupNorm>(1, channels, 1e-5, true);
    case MetaNorm::kGroupNorm1NoBias:
      return std::make_shared<GroupNorm>(1, channels, 1e-6, false);
    case MetaNorm::kLayerNormNoBias:
      return std::make_shared<LayerNorm>(channels, 1e-6, false);
  }
  fail(ErrorKind::kMissing, "metaformer: no norm of number ", int(norm));
}

MetaFormerBlock::MetaFormerBlock(int64_t channels, const MetaBlockOptions& options)
    : norm1_(adopt("norm1", make_meta_norm(options.norm, channels))),
      mixer_(adopt("token_mixer", make_mixer(channels, options))),
      layer_scale1_(adopt("layer_scale1",
                          make_scale(options.layer_scale != 0, channels, options.layer_scale))),
      res_scale1_(adopt("res_scale1", make_scale(options.res_scale, channels, 1))),
      drop_path1_(child<DropPath>("drop_path1", options.drop_path)),
      norm2_(adopt("norm2", make_meta_norm(options.norm, channels))),
      mlp_(adopt("mlp", make_mlp(channels, options))),
      layer_scale2_(adopt("layer_scale2",
                          make_scale(options.layer_scale != 0, channels, options.layer_scale))),
      res_scale2_(adopt("res_scale2", make_scale(options.res_scale, channels, 1))),
      drop_path2_(child<DropPath>("drop_path2", options.drop_path)) {}

Variable MetaFormerBlock::branch(const Variable& x, Module& norm, Module& mixer,
                                 Module& layer_scale, Module& res_scale, Module& drop_path) {
  return autograd::add(res_scale(x), layer_scale(drop_path(mixer(norm(x)))));
}

Variable MetaFormerBlock::forward(const Variable& x) {
  const Variable y = branch(x, norm1_, mixer_, layer_scale1_, res_scale1_, drop_path1_);
  return branch(y, norm2_, mlp_, layer_scale2_, res_scale2_, drop_path2_);
}

MetaDownsample::MetaDownsample(int64_t in, int64_t out, int64_t kernel, int64_t stride,
                               int64_t padding, NormPlace place, MetaNorm norm)
    : place_(place),
      norm_(adopt("norm", place == NormPlace::kNone
                              ? std::shared_ptr<Module>(std::make_shared<Identity>())
                              : make_meta_norm(norm, place == NormPlace::kBefore ? in : out))),
      conv_(child<Conv2d>("conv", in, out,
                          Conv2d::Options{.kernel = kernel,
                                          .stride = stride,
                                          .padding = padding,
                                          .bias = true,
                                          .init = init::trunc_normal()})) {}

Variable MetaDownsample::forward(const Variable& x) {
  return place_ == NormPlace::kAfter ? norm_(conv_(x)) : conv_(norm_(x));
}

}  // namespace kintsugi::nn

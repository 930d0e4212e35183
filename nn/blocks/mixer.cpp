#include "kintsugi/nn/blocks/mixer.h"

#include "kintsugi/autograd/ops/elementwise.h"
#include "kintsugi/autograd/ops/layout.h"

namespace kintsugi::nn {

namespace {

using Form = MixerBlockOptions::Form;

class Affine : public Module {
 public:
  explicit Affine(int64_t channels) {
    alpha_ = parameter("alpha", {1, 1, channels}, init::constant(1));
    beta_ = parameter("beta", {1, 1, channels}, init::constant(0));
  }

 protected:
  Variable forward(const Variable& x) override {
    return autograd::add(autograd::mul(x, alpha_), beta_);
  }

 private:
  Variable alpha_, beta_;
};

Variable across_places(Module& module, const Variable& x) {
  return autograd::transpose(module(autograd::transpose(x, 1, 2)), 1, 2);
}

std::shared_ptr<Module> make_mlp(int64_t channels, int64_t hidden, Form form) {
  if (form == Form::kSwiGlu) {
    return std::make_shared<SwiGlu>(channels, hidden, SwiGlu::Form::kGateLast);
  }
  return std::make_shared<Mlp>(channels, hidden);
}

int64_t times(int64_t channels, double ratio) {
  return int64_t(double(channels) * ratio);
}

class MixerBlock : public Module {
 public:
  MixerBlock(int64_t channels, int64_t tokens, const MixerBlockOptions& options)
      : norm1_(adopt("norm1", make_mixer_norm(channels, options.form))),
        tokens_(options.form == Form::kResMlp
                    ? adopt("linear_tokens",
                            std::shared_ptr<Module>(std::make_shared<Linear>(tokens, tokens)))
                    : adopt("mlp_tokens",
                            make_mlp(tokens, times(channels, options.token_ratio), options.form))),
        drop_path_(child<DropPath>("drop_path", options.drop_path)),
        norm2_(adopt("norm2", make_mixer_norm(channels, options.form))),
        channels_(adopt("mlp_channels",
                        make_mlp(channels, times(channels, options.mlp_ratio), options.form))) {
    if (options.layer_scale != 0) {
      ls1_ = parameter("ls1", {channels}, init::constant(options.layer_scale));
      ls2_ = parameter("ls2", {channels}, init::constant(options.layer_scale));
    }
  }

 protected:
  Variable forward(const Variable& x) override {
    using autograd::add;
    const auto scaled = [](const Variable& y, const Variable& scale) {
      return scale.defined() ? autograd::mul(y, scale) : y;
    };
    const Variable y = add(x, drop_path_(scaled(across_places(tokens_, norm1_(x)), ls1_)));
    return add(y, drop_path_(scaled(channels_(norm2_(y)), ls2_)));
  }

 private:
  Module &norm1_, &tokens_;
  DropPath& drop_path_;
  Module &norm2_, &channels_;
  Variable ls1_, ls2_;
};

// u * proj(norm(v)) over places; u, v are the halves of the channels.
class SpatialGate : public Module {
 public:
  SpatialGate(int64_t channels, int64_t tokens)
      : norm_(child<LayerNorm>("norm", channels / 2, 1e-5)),
        proj_(child<Linear>("proj", tokens, tokens, true, init::normal(1e-6))) {}

 protected:
  Variable forward(const Variable& x) override {
    const int64_t half = x.size(2) / 2;
    const Variable u = autograd::slice(x, 2, 0, half), v = autograd::slice(x, 2, half, 2 * half);
    return autograd::mul(u, across_places(proj_, norm_(v)));
  }

 private:
  LayerNorm& norm_;
  Linear& proj_;
};

class GatedMlp : public Module {
 public:
  GatedMlp(int64_t channels, int64_t hidden, int64_t tokens)
      : fc1_(child<Linear>("fc1", channels, hidden)),
        act_(child<Activation>("act", Act::kGelu)),
        gate_(child<SpatialGate>("gate", hidden, tokens)),
        fc2_(child<Linear>("fc2", hidden / 2, channels)) {}

 protected:
  Variable forward(const Variable& x) override { return fc2_(gate_(act_(fc1_(x)))); }

 private:
  Linear& fc1_;
  Activation& act_;
  SpatialGate& gate_;
  Linear& fc2_;
};

class SpatialGatingBlock : public Module {
 public:
  SpatialGatingBlock(int64_t channels, int64_t tokens, const MixerBlockOptions& options)
      : norm_(adopt("norm", make_mixer_norm(channels, options.form))),
        mlp_(child<GatedMlp>("mlp_channels", channels, times(channels, options.mlp_ratio), tokens)),
        drop_path_(child<DropPath>("drop_path", options.drop_path)) {}

 protected:
  Variable forward(const Variable& x) override {
    return autograd::add(x, drop_path_(mlp_(norm_(x))));
  }

 private:
  Module& norm_;
  GatedMlp& mlp_;
  DropPath& drop_path_;
};

}  // namespace

std::shared_ptr<Module> make_mixer_norm(int64_t channels, Form form) {
  if (form == Form::kResMlp) return std::make_shared<Affine>(channels);
  return std::make_shared<LayerNorm>(channels, 1e-6);
}

std::shared_ptr<Module> make_mixer_block(int64_t channels, int64_t tokens,
                                         const MixerBlockOptions& options) {
  if (options.form == Form::kGatedMlp) {
    return std::make_shared<SpatialGatingBlock>(channels, tokens, options);
  }
  return std::make_shared<MixerBlock>(channels, tokens, options);
}

}  // namespace kintsugi::nn

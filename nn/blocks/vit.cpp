#include "kintsugi/nn/blocks/vit.h"

#include <cmath>

#include "kintsugi/autograd/ops/attention.h"
#include "kintsugi/autograd/ops/elementwise.h"
#include "kintsugi/autograd/ops/layout.h"
#include "kintsugi/autograd/ops/matmul.h"
#include "kintsugi/autograd/ops/reduce.h"
#include "kintsugi/autograd/ops/softmax.h"

namespace kintsugi::nn {

namespace {

std::shared_ptr<Module> identity() {
  return std::make_shared<Identity>();
}

void check_heads(int64_t channels, int64_t heads) {
  if (channels % heads != 0) {
    fail(ErrorKind::kShape, "attention: ", channels, " channels do not divide into ", heads,
         " heads");
  }
}

// (N,T,C) -> (N,heads,T,C/heads)
Variable split_heads(const Variable& x, int64_t heads) {
  const int64_t n = x.size(0), t = x.size(1), c = x.size(2);
  return autograd::transpose(autograd::reshape(x, {n, t, heads, c / heads}), 1, 2);
}

// (N,heads,T,C/heads) -> (N,T,C)
Variable merge_heads(const Variable& x) {
  const Variable y = autograd::transpose(x, 1, 2);
  return autograd::reshape(y, {y.size(0), y.size(1), y.size(2) * y.size(3)});
}

// A norm over each head's width of (N,heads,T,width); norms take rank 4 for a grid.
Variable norm_heads(Module& norm, const Variable& x) {
  if (dynamic_cast<Identity*>(&norm)) return x;
  const Variable rows = autograd::reshape(x, {x.size(0) * x.size(1), x.size(2), x.size(3)});
  return autograd::reshape(norm(rows), x.shape());
}

// Consecutive slices of the last dimension.
std::vector<Variable> split(const Variable& x, const std::vector<int64_t>& widths) {
  std::vector<Variable> parts;
  int64_t start = 0;
  for (const int64_t width : widths) {
    parts.push_back(autograd::slice(x, x.shape().rank() - 1, start, start + width));
    start += width;
  }
  return parts;
}

Variable attend(const Variable& q, const Variable& k, const Variable& v) {
  return autograd::attention(q, k, v, Variable(), 1 / std::sqrt(double(q.size(3))));
}

// gamma * x ("ls1.gamma"); nothing where `value` is 0.
class LayerScale : public Module {
 public:
  LayerScale(int64_t channels, double value) {
    if (value != 0) gamma_ = parameter("gamma", {channels}, init::constant(value));
  }

 protected:
  Variable forward(const Variable& x) override {
    return gamma_.defined() ? autograd::mul(x, gamma_) : x;
  }

 private:
  Variable gamma_;
};

std::shared_ptr<Module> make_attention(int64_t channels, const VitBlockOptions& options) {
  if (options.differential) {
    return std::make_shared<DifferentialAttention>(channels, options.depth, options.attention);
  }
  return std::make_shared<Attention>(channels, options.attention);
}

std::shared_ptr<Module> make_mlp(int64_t channels, const VitBlockOptions& options) {
  using Form = VitBlockOptions::MlpForm;
  const int64_t hidden = int64_t(double(channels) * options.mlp_ratio);
  const bool bias = options.attention.proj_bias;
  if (options.mlp != Form::kPlain) {
    return std::make_shared<SwiGlu>(
        channels, hidden,
        options.mlp == Form::kSwiGlu ? SwiGlu::Form::kTwoLayers : SwiGlu::Form::kGateFirst, bias);
  }
  return std::make_shared<Mlp>(channels, hidden, options.act, bias,
                               options.mlp_norm ? options.attention.norm.make(hidden) : nullptr);
}

// x + drop(scale(...)), norms inside or after the branch.
class VitBlock : public Module {
 public:
  VitBlock(int64_t channels, const VitBlockOptions& options)
      : post_norm_(options.form == VitBlockOptions::Form::kPostNorm),
        norm1_(adopt("norm1", options.attention.norm.make(channels))),
        attn_(adopt("attn", make_attention(channels, options))),
        ls1_(child<LayerScale>("ls1", channels, post_norm_ ? 0 : options.layer_scale)),
        drop_path1_(child<DropPath>("drop_path1", options.drop_path)),
        norm2_(adopt("norm2", options.attention.norm.make(channels))),
        mlp_(adopt("mlp", make_mlp(channels, options))),
        ls2_(child<LayerScale>("ls2", channels, post_norm_ ? 0 : options.layer_scale)),
        drop_path2_(child<DropPath>("drop_path2", options.drop_path)) {}

 protected:
  Variable forward(const Variable& x) override {
    const Variable y = branch(x, norm1_, attn_, ls1_, drop_path1_);
    return branch(y, norm2_, mlp_, ls2_, drop_path2_);
  }

 private:
  Variable branch(const Variable& x, Module& norm, Module& inner, Module& scale, Module& drop) {
    return autograd::add(x, drop(post_norm_ ? norm(inner(x)) : scale(inner(norm(x)))));
  }
  bool post_norm_;
  Module &norm1_, &attn_, &ls1_, &drop_path1_, &norm2_, &mlp_, &ls2_, &drop_path2_;
};

// norm -> attention or MLP -> scale -> drop: one arm of the two-wide block.
class Arm : public Module {
 public:
  Arm(int64_t channels, const std::string& name, std::shared_ptr<Module> inner,
      const VitBlockOptions& options)
      : norm_(adopt("norm", options.attention.norm.make(channels))),
        inner_(adopt(name, std::move(inner))),
        ls_(child<LayerScale>("ls", channels, options.layer_scale)),
        drop_path_(child<DropPath>("drop_path", options.drop_path)) {}

 protected:
  Variable forward(const Variable& x) override { return drop_path_(ls_(inner_(norm_(x)))); }

 private:
  Module &norm_, &inner_, &ls_, &drop_path_;
};

class TwoWideBlock : public Module {
 public:
  TwoWideBlock(int64_t channels, const VitBlockOptions& options) {
    for (int i = 0; i < 2; ++i) {
      const std::string index = std::to_string(i);
      attns_[i] = &child<Arm>("attns." + index, channels, "attn", make_attention(channels, options),
                              options);
      ffns_[i] =
          &child<Arm>("ffns." + index, channels, "mlp", make_mlp(channels, options), options);
    }
  }

 protected:
  Variable forward(const Variable& x) override {
    using autograd::add;
    const Variable y = add(x, add((*attns_[0])(x), (*attns_[1])(x)));
    return add(y, add((*ffns_[0])(y), (*ffns_[1])(y)));
  }

 private:
  Arm *attns_[2], *ffns_[2];
};

class ParallelBlock : public Module {
 public:
  ParallelBlock(int64_t channels, const VitBlockOptions& options)
      : channels_(channels),
        heads_(options.attention.heads),
        hidden_(int64_t(double(channels) * options.mlp_ratio)),
        in_norm_(adopt("in_norm", options.attention.norm.make(channels))),
        in_proj_(
            child<Linear>("in_proj", channels, hidden_ + 3 * channels, options.attention.qkv_bias)),
        q_norm_(head_norm("q_norm", options)),
        k_norm_(head_norm("k_norm", options)),
        act_(child<Activation>("mlp_act", options.act)),
        attn_out_(child<Linear>("attn_out_proj", channels, channels, options.attention.proj_bias)),
        mlp_out_(child<Linear>("mlp_out_proj", hidden_, channels, options.attention.proj_bias)),
        ls_(child<LayerScale>("ls", channels, options.layer_scale)),
        drop_path_(child<DropPath>("drop_path", options.drop_path)) {
    check_heads(channels, heads_);
    if (!options.attention.qkv_bias) {
      mlp_bias_ = parameter("mlp_bias", {hidden_}, init::constant(0));
    }
  }

 protected:
  Variable forward(const Variable& x) override {
    const auto parts = split(in_proj_(in_norm_(x)), {hidden_, channels_, channels_, channels_});
    const Variable hidden = mlp_bias_.defined() ? autograd::add(parts[0], mlp_bias_) : parts[0];
    const Variable y = merge_heads(attend(norm_heads(q_norm_, split_heads(parts[1], heads_)),
                                          norm_heads(k_norm_, split_heads(parts[2], heads_)),
                                          split_heads(parts[3], heads_)));
    const Variable out = autograd::add(attn_out_(y), mlp_out_(act_(hidden)));
    return autograd::add(x, drop_path_(ls_(out)));
  }

 private:
  Module& head_norm(const std::string& name, const VitBlockOptions& options) {
    return adopt(name, options.attention.qk_norm ? options.attention.norm.make(channels_ / heads_)
                                                 : identity());
  }
  int64_t channels_, heads_, hidden_;
  Module& in_norm_;
  Linear& in_proj_;
  Variable mlp_bias_;
  Module &q_norm_, &k_norm_;
  Activation& act_;
  Linear &attn_out_, &mlp_out_;
  Module &ls_, &drop_path_;
};

}  // namespace

std::shared_ptr<Module> TokenNorm::make(int64_t channels) const {
  if (rms) return std::make_shared<RmsNorm>(channels, epsilon);
  return std::make_shared<LayerNorm>(channels, epsilon);
}

Attention::Attention(int64_t channels, const AttentionOptions& options)
    : heads_((check_heads(channels, options.heads), options.heads)),
      qkv_(child<Linear>("qkv", channels, 3 * channels, options.qkv_bias)),
      q_norm_(adopt("q_norm", options.qk_norm ? options.norm.make(channels / heads_) : identity())),
      k_norm_(adopt("k_norm", options.qk_norm ? options.norm.make(channels / heads_) : identity())),
      norm_(adopt("norm", options.scale_norm ? options.norm.make(channels) : identity())),
      proj_(child<Linear>("proj", channels, channels, options.proj_bias)) {}

Variable Attention::forward(const Variable& x) {
  using namespace autograd;
  const int64_t n = x.size(0), t = x.size(1), c = x.size(2), width = c / heads_;
  const Variable qkv = permute(reshape(qkv_(x), {n, t, 3, heads_, width}), {2, 0, 3, 1, 4});
  const auto part = [&](int64_t i) {
    return reshape(slice(qkv, 0, i, i + 1), {n, heads_, t, width});
  };
  return proj_(norm_(
      merge_heads(attend(norm_heads(q_norm_, part(0)), norm_heads(k_norm_, part(1)), part(2)))));
}

DifferentialAttention::DifferentialAttention(int64_t channels, int64_t depth,
                                             const AttentionOptions& options)
    : heads_((check_heads(channels, 2 * options.heads), options.heads)),
      lambda_init_(0.8 - 0.6 * std::exp(-0.3 * double(depth))),
      qkv_(child<Linear>("qkv", channels, 3 * channels, options.qkv_bias)),
      sub_norm_(child<RmsNorm>("sub_norm", channels / heads_, 1e-5)),
      proj_(child<Linear>("proj", channels, channels, options.proj_bias)) {
  const Shape half{channels / heads_ / 2};
  q1_ = parameter("lambda_q1", half, init::normal(0.1));
  k1_ = parameter("lambda_k1", half, init::normal(0.1));
  q2_ = parameter("lambda_q2", half, init::normal(0.1));
  k2_ = parameter("lambda_k2", half, init::normal(0.1));
}

Variable DifferentialAttention::forward(const Variable& x) {
  using namespace autograd;
  const int64_t n = x.size(0), t = x.size(1), c = x.size(2), width = c / heads_ / 2;
  const auto parts = split(qkv_(x), {c, c, c});
  const Variable q = split_heads(parts[0], 2 * heads_), k = split_heads(parts[1], 2 * heads_);
  const auto weight = [](const Variable& a, const Variable& b) {
    return unary(ops::Unary::kExp, sum(mul(a, b)));
  };
  const Variable lambda = affine(sub(weight(q1_, k1_), weight(q2_, k2_)), 1, lambda_init_);
  const Variable scores = affine(matmul(q, transpose(k, 2, 3)), 1 / std::sqrt(double(width)), 0);
  const Variable maps = reshape(softmax(scores, -1), {n, heads_, 2, t, t});
  const auto map = [&](int64_t i) { return reshape(slice(maps, 2, i, i + 1), {n, heads_, t, t}); };
  const Variable y = matmul(sub(map(0), mul(map(1), lambda)), split_heads(parts[2], heads_));
  return proj_(merge_heads(affine(norm_heads(sub_norm_, y), 1 - lambda_init_, 0)));
}

std::shared_ptr<Module> make_vit_block(int64_t channels, const VitBlockOptions& options) {
  using Form = VitBlockOptions::Form;
  switch (options.form) {
    case Form::kPreNorm:
    case Form::kPostNorm:
      return std::make_shared<VitBlock>(channels, options);
    case Form::kTwoWide:
      return std::make_shared<TwoWideBlock>(channels, options);
    case Form::kParallel:
      return std::make_shared<ParallelBlock>(channels, options);
  }
  fail(ErrorKind::kMissing, "vit: no block of form ", int(options.form));
}

AttentionPool::AttentionPool(int64_t channels, const AttentionOptions& options, double mlp_ratio,
                             Act act)
    : heads_((check_heads(channels, options.heads), options.heads)),
      q_(child<Linear>("q", channels, channels)),
      kv_(child<Linear>("kv", channels, 2 * channels)),
      proj_(child<Linear>("proj", channels, channels)),
      norm_(adopt("norm", options.norm.make(channels))),
      mlp_(child<Mlp>("mlp", channels, int64_t(double(channels) * mlp_ratio), act)) {
  latent_ =
      parameter("latent", {1, 1, channels}, init::trunc_normal(1 / std::sqrt(double(channels))));
}

Variable AttentionPool::forward(const Variable& x) {
  using namespace autograd;
  const int64_t n = x.size(0), c = x.size(2);
  const Variable q = q_(expand(latent_, {n, 1, c}));
  const auto parts = split(kv_(x), {c, c});
  const Variable y = proj_(merge_heads(attend(split_heads(q, heads_), split_heads(parts[0], heads_),
                                              split_heads(parts[1], heads_))));
  return reshape(add(y, mlp_(norm_(y))), {n, c});
}

}  // namespace kintsugi::nn

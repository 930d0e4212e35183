#include "kintsugi/nn/blocks/vit.h"

#include <cmath>

#include "kintsugi/autograd/ops/attention.h"
#include "kintsugi/autograd/ops/elementwise.h"
#include "kintsugi/autograd/ops/layout.h"

namespace kintsugi::nn {

Attention::Attention(int64_t channels, int64_t heads, bool qkv_bias, bool proj_bias)
    : heads_(heads),
      qkv_(child<Linear>("qkv", channels, 3 * channels, qkv_bias)),
      proj_(child<Linear>("proj", channels, channels, proj_bias)) {
  if (channels % heads != 0) {
    fail(ErrorKind::kShape, "attention: ", channels, " channels do not divide into ", heads, " heads");
  }
}

Variable Attention::forward(const Variable& x) {
  using namespace autograd;
  const int64_t n = x.size(0), t = x.size(1), c = x.size(2), width = c / heads_;
  const Variable qkv = permute(reshape(qkv_(x), {n, t, 3, heads_, width}), {2, 0, 3, 1, 4});
  const auto part = [&](int64_t i) { return reshape(slice(qkv, 0, i, i + 1), {n, heads_, t, width}); };
  const Variable y = attention(part(0), part(1), part(2), Variable(), 1 / std::sqrt(double(width)));
  return proj_(reshape(transpose(y, 1, 2), {n, t, c}));
}

Mlp::Mlp(int64_t channels, int64_t hidden, Act act, bool bias)
    : fc1_(child<Linear>("fc1", channels, hidden, bias)),
      act_(child<Activation>("act", act)),
      fc2_(child<Linear>("fc2", hidden, channels, bias)) {}

Variable Mlp::forward(const Variable& x) { return fc2_(act_(fc1_(x))); }

VitBlock::VitBlock(int64_t channels, int64_t heads, double mlp_ratio, double drop_path)
    : norm1_(child<LayerNorm>("norm1", channels)),
      attn_(child<Attention>("attn", channels, heads)),
      drop_path1_(child<DropPath>("drop_path1", drop_path)),
      norm2_(child<LayerNorm>("norm2", channels)),
      mlp_(child<Mlp>("mlp", channels, int64_t(double(channels) * mlp_ratio))),
      drop_path2_(child<DropPath>("drop_path2", drop_path)) {}

Variable VitBlock::forward(const Variable& x) {
  const Variable y = autograd::add(x, drop_path1_(attn_(norm1_(x))));
  return autograd::add(y, drop_path2_(mlp_(norm2_(y))));
}

}  // namespace kintsugi::nn

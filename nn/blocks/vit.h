// The pre-norm transformer block of ViT (Dosovitskiy et al. 2021), under timm's names. Tokens
// (N,T,C) in and out.
#pragma once

#include "kintsugi/nn/layers/layers.h"

namespace kintsugi::nn {

// Multi-head self-attention over tokens; channels = heads * head width.
class Attention : public Module {
 public:
  Attention(int64_t channels, int64_t heads, bool qkv_bias = true, bool proj_bias = true);

 protected:
  Variable forward(const Variable& x) override;

 private:
  int64_t heads_;
  Linear &qkv_, &proj_;
};

// fc2(act(fc1(x))) on tokens.
class Mlp : public Module {
 public:
  Mlp(int64_t channels, int64_t hidden, Act act = Act::kGelu, bool bias = true);

 protected:
  Variable forward(const Variable& x) override;

 private:
  Linear& fc1_;
  Activation& act_;
  Linear& fc2_;
};

class VitBlock : public Module {
 public:
  VitBlock(int64_t channels, int64_t heads, double mlp_ratio = 4, double drop_path = 0);

 protected:
  Variable forward(const Variable& x) override;

 private:
  LayerNorm& norm1_;
  Attention& attn_;
  DropPath& drop_path1_;
  LayerNorm& norm2_;
  Mlp& mlp_;
  DropPath& drop_path2_;
};

}  // namespace kintsugi::nn

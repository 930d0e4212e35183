// The transformer blocks of ViT (Dosovitskiy et al. 2021) and its descendants, under timm's names.
// Tokens (N,T,C) in and out.
#pragma once

#include "kintsugi/nn/blocks/mlp.h"

namespace kintsugi::nn {

// Of a transformer: which norm its tokens and heads have.
struct TokenNorm {
  double epsilon = 1e-6;
  bool rms = false;
  std::shared_ptr<Module> make(int64_t channels) const;
};

struct AttentionOptions {
  int64_t heads = 1;
  bool qkv_bias = true, proj_bias = true;
  bool qk_norm = false;     // of each head's queries and keys
  bool scale_norm = false;  // of the heads' joint output
  TokenNorm norm = {};
};

// Multi-head self-attention over tokens; channels = heads * head width.
class Attention : public Module {
 public:
  Attention(int64_t channels, const AttentionOptions& options);

 protected:
  Variable forward(const Variable& x) override;

 private:
  int64_t heads_;
  Linear& qkv_;
  Module &q_norm_, &k_norm_, &norm_;
  Linear& proj_;
};

// softmax(q1 k1^T) - lambda softmax(q2 k2^T), times v: Ye et al. 2024 (Differential Transformer).
// `depth` is the block's index.
class DifferentialAttention : public Module {
 public:
  DifferentialAttention(int64_t channels, int64_t depth, const AttentionOptions& options);

 protected:
  Variable forward(const Variable& x) override;

 private:
  int64_t heads_;
  double lambda_init_;
  Linear& qkv_;
  Variable q1_, k1_, q2_, k2_;
  RmsNorm& sub_norm_;
  Linear& proj_;
};

struct VitBlockOptions {
  enum class Form {
    kPreNorm,   // x + attn(norm1(x)), then x + mlp(norm2(x))
    kPostNorm,  // x + norm1(attn(x)), then x + norm2(mlp(x)) (timm's ResPostBlock)
    kTwoWide,  // two attentions side by side, then two MLPs (Touvron et al. 2022, Three things ...)
    kParallel,  // attention beside the MLP, their first layers one (Dehghani et al. 2023)
  };
  enum class MlpForm { kPlain, kSwiGlu, kPackedSwiGlu };
  Form form = Form::kPreNorm;
  AttentionOptions attention = {};
  bool differential = false;
  double mlp_ratio = 4;
  MlpForm mlp = MlpForm::kPlain;
  bool mlp_norm = false;  // between the MLP's layers
  Act act = Act::kGelu;
  double layer_scale = 0;  // 0: none; else its initial value
  int64_t depth = 0;       // the block's index
  double drop_path = 0;
};

std::shared_ptr<Module> make_vit_block(int64_t channels, const VitBlockOptions& options);

// Attends to tokens from one learnt query, then a residual MLP: (N,T,C) -> (N,C) (Zhai et al.
// 2022).
class AttentionPool : public Module {
 public:
  AttentionPool(int64_t channels, const AttentionOptions& options, double mlp_ratio, Act act);

 protected:
  Variable forward(const Variable& x) override;

 private:
  int64_t heads_;
  Variable latent_;
  Linear &q_, &kv_, &proj_;
  Module& norm_;
  Mlp& mlp_;
};

}  // namespace kintsugi::nn

// Vision transformers as Google's JAX code stores them (AugReg, https://arxiv.org/abs/2106.10270;
// big_vision): names like "Transformer/encoderblock_0/MultiHeadDotProductAttention_1/query/kernel",
// kernels with their inputs first, queries, keys and values apart and split by heads.
#pragma once

#include "kintsugi/nn/module.h"

namespace kintsugi::zoo {

bool is_jax_vit(const nn::State& state);

// To timm's names and layouts, in place. What timm leaves out goes (the representation layer before
// the head, an optimizer's state); what is not known keeps its name, so that a strict load reports
// it. False where nothing was JAX's.
bool jax_vit_to_timm(nn::State& state);

}  // namespace kintsugi::zoo

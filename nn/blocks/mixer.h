// Blocks that mix tokens by learnt matrices over places, under timm's names: MLP-Mixer (Tolstikhin
// et al. 2021), ResMLP (Touvron et al. 2021), gMLP (Liu et al. 2021). Tokens (N,T,C) in and out, T
// fixed.
#pragma once

#include "kintsugi/nn/blocks/mlp.h"

namespace kintsugi::nn {

struct MixerBlockOptions {
  enum class Form {
    kMixer,     // an MLP over places, then one over channels
    kSwiGlu,    // the same with gated MLPs (timm's gmixer)
    kResMlp,    // one matrix over places, then an MLP; affine maps in place of norms, layer scale
    kGatedMlp,  // one MLP whose hidden half is gated by a matrix over places of the other
  };
  Form form = Form::kMixer;
  double token_ratio = 0.5;  // of the hidden width over places to the channels
  double mlp_ratio = 4;
  double layer_scale = 0;  // ResMLP's initial value
  double drop_path = 0;
};

// `tokens`: T.
std::shared_ptr<Module> make_mixer_block(int64_t channels, int64_t tokens,
                                         const MixerBlockOptions& options);

// The norm of such a network: ResMLP's is alpha * x + beta.
std::shared_ptr<Module> make_mixer_norm(int64_t channels, MixerBlockOptions::Form form);

}  // namespace kintsugi::nn

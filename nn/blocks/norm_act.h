// The norms that one family's description chooses from, alone or with the activation behind them.
#pragma once

#include "kintsugi/nn/layers/layers.h"

namespace kintsugi::nn {

enum class Norm {
  kBatch,
  kGroup32,       // 32 groups (Wu and He 2018)
  kGroupWidth16,  // groups of 16 channels
  kEvoS0,         // these two are activations at once
  kFilterResponse,
};

// `weight`: the initial scale.
std::shared_ptr<Module> make_norm(Norm norm, int64_t channels, double weight = 1);

// timm's NormAct: the norm's tensors stand directly under its name.
class NormAct : public Module {
 public:
  NormAct(Norm norm, int64_t channels, Act act);

 protected:
  Variable forward(const Variable& x) override { return act_(norm_(x)); }

 private:
  Module& norm_;
  Activation& act_;
};

// conv-norm-act, under timm's names: "conv", "bn" whatever the norm.
class ConvNormAct : public Module {
 public:
  ConvNormAct(int64_t in, int64_t out, const Conv2d::Options& options, Act act,
              double norm_weight = 1, Norm norm = Norm::kBatch);

 protected:
  Variable forward(const Variable& x) override;

 private:
  Conv2d& conv_;
  Module& bn_;
  Activation& act_;
};

}  // namespace kintsugi::nn

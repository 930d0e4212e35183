// The two-layer perceptrons inside blocks, under timm's names ("fc1", "fc2").
#pragma once

#include "kintsugi/nn/layers/layers.h"

namespace kintsugi::nn {

// fc2(norm(act(fc1(x)))) over the last dimension.
class Mlp : public Module {
 public:
  Mlp(int64_t channels, int64_t hidden, Act act = Act::kGelu, bool bias = true,
      std::shared_ptr<Module> norm = nullptr, const std::string& norm_name = "norm");

 protected:
  Variable forward(const Variable& x) override;

 private:
  Linear& fc1_;
  Activation& act_;
  Module& norm_;
  Linear& fc2_;
};

// The same with 1x1 convolutions on a grid.
class ConvMlp : public Module {
 public:
  ConvMlp(int64_t channels, int64_t hidden, Act act = Act::kGelu, bool bias = true,
          std::shared_ptr<Module> norm = nullptr, const std::string& norm_name = "norm");

 protected:
  Variable forward(const Variable& x) override;

 private:
  Conv2d& fc1_;
  Activation& act_;
  Module& norm_;
  Conv2d& fc2_;
};

// fc2(silu(gate) * value) (Shazeer 2020). Gate and value are the outputs of two layers ("fc1_g",
// "fc1_x"), or halves of one layer's ("fc1"), in this order or the other.
class SwiGlu : public Module {
 public:
  enum class Form { kTwoLayers, kGateFirst, kGateLast };
  SwiGlu(int64_t channels, int64_t hidden, Form form, bool bias = true);

 protected:
  Variable forward(const Variable& x) override;

 private:
  Form form_;
  Linear *gate_, *value_ = nullptr;  // gate_ is both where there is one layer
  Activation& act_;
  Linear& fc2_;
};

// x + bias + weight * x * n, n = the norm of each channel over places, divided by its mean over
// channels (Woo et al. 2023). Grids or tokens.
class GlobalResponseNorm : public Module {
 public:
  explicit GlobalResponseNorm(int64_t channels);

 protected:
  Variable forward(const Variable& x) override;

 private:
  Variable weight_, bias_;
};

// A module on tokens, applied to a grid of the same bytes. Adds no level of name.
class OnTokens : public Module {
 public:
  explicit OnTokens(std::shared_ptr<Module> inner) : inner_(adopt("", std::move(inner))) {}

 protected:
  Variable forward(const Variable& x) override;

 private:
  Module& inner_;
};

}  // namespace kintsugi::nn

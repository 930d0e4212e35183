// The stitch: the layer that joins a block to a block of another network. Four modes by the kinds of
// its two ends; two forms:
//   dery    the reference's (Yang et al. 2022): norm -> projection without bias -> LeakyReLU(0.1). The
//           norm is a batch norm and the projection a convolution whose kernel is its stride, but
//           between tokens a layer norm and a linear layer.
//   linear  one 1x1 convolution or linear layer with bias (SN-Net, Pan et al. 2023), which least
//           squares can fit exactly.
// Where grids differ, the feature is resampled: an integer factor by the dery form's stride; any other
// by adaptive average pooling downwards and bilinear interpolation upwards, before the projection.
// A stride that is told strides, whatever is left over, as the reference draws it.
// Class and register tokens end at a stitch: its output has none.
#pragma once

#include "kintsugi/nn/blocks/feature.h"
#include "kintsugi/nn/layers/layers.h"

namespace kintsugi::nn {

enum class StitchForm { kDery, kLinear };
const char* name_of(StitchForm form);
StitchForm stitch_form(const std::string& name);  // an Error for any other name

class Stitch : public Module {
 public:
  // stride 0: as the grids want it
  Stitch(const FeatureShape& in, const FeatureShape& out, StitchForm form, int64_t stride = 0);

  const char* mode() const;  // "grid2grid", "grid2tokens", "tokens2grid", "tokens2tokens"
  StitchForm form() const { return form_; }
  int64_t stride() const { return stride_; }  // of the projection
  const FeatureShape& in() const { return in_; }
  const FeatureShape& out() const { return out_; }  // without prefix tokens

  // What the projection sees of a feature, one row a place that it writes: (N*OH*OW, I*stride*stride),
  // before the norm. The left side of the least-squares fit.
  Tensor rows(const Variable& x) const;

  // Takes y = weight * row + bias, weight (O,I*stride*stride), bias (O), as the projection. The dery
  // form, which has no bias and an activation after it, takes it around the mean: `mean` and
  // `variance` (I) of x become its batch norm's statistics; between tokens, whose norm is another for
  // each token, it takes the weight as it is.
  void set_projection(const Tensor& weight, const Tensor& bias, const Tensor& mean,
                      const Tensor& variance);

 protected:
  Variable forward(const Variable& x) override;

 private:
  // x without prefix tokens, as a grid of the output's size where the projection has no stride.
  Variable resample(const Variable& x) const;
  FeatureShape in_, out_;
  StitchForm form_;
  int64_t stride_ = 1;
  bool on_tokens_;  // projects tokens; else a grid
  Module& norm_;
  Module& project_;
};

// The stem that the reference gives every reassembled network: 7x7/2 - norm - ReLU - 3x3/2 pooling.
std::shared_ptr<Module> dery_stem(int64_t in, int64_t channels);

}  // namespace kintsugi::nn

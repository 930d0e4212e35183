// The catalog: every architecture that can be built by name. A family is one file in families/: its
// variants, its builder, the paper. The one table of families is in catalog.cpp.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kintsugi/nn/network.h"

namespace kintsugi::zoo {

// How images become a network's input; it belongs to the network, not to the data.
struct Preprocessing {
  std::vector<double> mean = {}, std = {};  // per input channel, for pixels in [0,1]
  std::string interpolation = "bilinear";
  double crop_pct = 1;
};

// ImageNet's (timm's IMAGENET_DEFAULT), timm's IMAGENET_INCEPTION (0.5), and Fashion-MNIST's.
Preprocessing imagenet_preprocessing(double crop_pct = 0.875,
                                     const std::string& interpolation = "bicubic");
Preprocessing half_preprocessing(double crop_pct = 0.9);
Preprocessing clip_preprocessing(double crop_pct);  // OpenAI CLIP's
Preprocessing fashion_mnist_preprocessing();

struct BuildOptions {
  int64_t classes = -1;     // below 0: the variant's; 0: no classifier, the pooled features are the output
  Shape input = {};         // (C,H,W); rank 0: the variant's
  double drop_path = 0;     // of the last block; grows linearly from 0 (Huang et al. 2016)
  std::string naming = {};  // whose code the weights come from, as Variant::rename told; "": timm
};

struct Variant {
  std::string name;
  std::string family;  // the paper's name: "resnet", "regnet", "vit"
  Shape input{3, 224, 224};
  int64_t classes = 1000;  // 0: no classifier
  Preprocessing preprocessing = imagenet_preprocessing();
  // Builds with classes, input and drop_path filled in. Shape-only weights.
  std::function<std::shared_ptr<nn::Network>(const Variant&, const BuildOptions&)> build = {};
  // Renames a stranger's tensors (torchvision's, the authors') to timm's in place and returns whose
  // they were, for BuildOptions::naming; "" where they are timm's or nobody's that it knows.
  std::function<std::string(nn::State&)> rename = {};
  // Brings what depends on the input's size (position embeddings, say) to the size that is built, as
  // timm resamples it.
  std::function<void(nn::State&, const BuildOptions&)> resample = {};
};

// All variants, in the order of the families' table.
const std::vector<Variant>& catalog();
// An Error with the nearest right name for a name that is not there.
const Variant& find_variant(const std::string& name);
std::shared_ptr<nn::Network> build_network(const std::string& name, const BuildOptions& options = {});

// The drop-path rate of block `index` of `count`: linear from 0 to `last`.
double drop_path_at(double last, int64_t index, int64_t count);

}  // namespace kintsugi::zoo

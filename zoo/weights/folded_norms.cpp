#include "kintsugi/zoo/weights/folded_norms.h"

#include <algorithm>

#include "kintsugi/nn/layers/layers.h"

namespace kintsugi::zoo {

namespace {

struct Norm {
  std::string path;
  double epsilon;
};

// In the order in which a network has them: all convolutions, all batch norms.
struct Layers {
  std::vector<std::string> convolutions;
  std::vector<Norm> norms;

  void walk(const std::string& path, const nn::Module& module) {
    if (dynamic_cast<const nn::Conv2d*>(&module) != nullptr) convolutions.push_back(path);
    if (const auto* norm = dynamic_cast<const nn::BatchNorm2d*>(&module)) {
      norms.push_back({path, norm->epsilon()});
    }
    for (const auto& [name, child] : module.children()) walk(nn::join_path(path, name), *child);
  }
};

}  // namespace

void unfold_norms(nn::State& state, const nn::Module& network) {
  std::map<std::string, Shape> wanted;
  for (const auto& [name, parameter] : network.named_parameters()) wanted[name] = parameter.shape();
  Layers layers;
  layers.walk("", network);
  std::erase_if(layers.convolutions, [&](const std::string& path) {
    return !state.contains(path + ".bias") || wanted.contains(path + ".bias");
  });
  std::erase_if(layers.norms, [&](const Norm& norm) {
    for (const char* leaf : {".weight", ".bias", ".running_mean", ".running_var"}) {
      if (state.contains(norm.path + leaf)) return true;
    }
    return false;
  });
  // A block may list its convolutions before its norms, but both in the order of their use.
  const size_t count = std::min(layers.convolutions.size(), layers.norms.size());
  for (size_t i = 0; i < count; ++i) {
    const auto& [norm, epsilon] = layers.norms[i];
    const auto shift = state.find(layers.convolutions[i] + ".bias");
    const Shape& shape = wanted.at(norm + ".weight");
    if (shift->second.shape() != shape) continue;
    state[norm + ".weight"] = Tensor::full(shape, 1);
    state[norm + ".running_mean"] = Tensor::zeros(shape);
    // Rounded to f32, this plus epsilon is 1 exactly.
    state[norm + ".running_var"] = Tensor::full(shape, 1 - epsilon);
    state[norm + ".bias"] = std::move(shift->second);
    state.erase(shift);
  }
}

}  // namespace kintsugi::zoo

// A zoo of small networks with initial weights, and images from a formula.
#pragma once

#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "kintsugi/zoo/datasets/sources.h"
#include "kintsugi/zoo/files/zoo_file.h"
#include "kintsugi/zoo/load.h"

namespace kintsugi::test {

namespace fs = std::filesystem;

// A folder that goes with this object.
struct Scratch {
  fs::path path = fs::temp_directory_path() / ("kintsugi-zoo-" + std::to_string(::getpid()));
  Scratch() { fs::create_directories(path); }
  ~Scratch() { fs::remove_all(path); }
};

// 48 grey images of ten classes.
inline std::shared_ptr<const zoo::Dataset> images() {
  zoo::DenseDataset::Content content;
  content.kind = "synthetic";
  content.height = content.width = 28;
  content.channels = 1;
  const int64_t n = 48;
  content.pixels.resize(size_t(n * 784));
  for (int64_t i = 0; i < n; ++i) {
    content.labels.push_back(i % 10);
    for (int64_t p = 0; p < 784; ++p) {
      const int64_t row = p / 28, col = p % 28;
      content.pixels[size_t(i * 784 + p)] =
          uint8_t((row * (i % 10 + 1) + col * (i / 10 + 1) +
                   philox4x32({uint32_t(p), uint32_t(i)}, {})[0] % 40) %
                  256);
    }
  }
  for (int c = 0; c < 10; ++c) content.classes.push_back(std::to_string(c));
  return std::make_shared<zoo::DenseDataset>(std::move(content));
}

// Initial weights and their ZOO.json's content.
inline zoo::ZooFile make_zoo(const fs::path& folder, const std::vector<std::string>& names) {
  zoo::ZooFile file;
  uint64_t seed = 1;
  for (const std::string& name : names) {
    const zoo::LoadedNetwork loaded = zoo::fresh_network(name, {}, seed++);
    const fs::path weights = folder / (name + ".safetensors");
    zoo::save_network(weights, *loaded.network, loaded.card);
    file.models.push_back({name, weights, 10, {0.2860}, {0.3530}, "Apache-2.0"});
  }
  return file;
}

}  // namespace kintsugi::test

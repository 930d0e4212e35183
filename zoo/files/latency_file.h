// LATENCY.json: how long the parts of a zoo's assemblies take on one machine.
// Reading checks all that the steps rely on: kFormat with the field's name. Another major version
// is refused, unknown fields are ignored.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "kintsugi/zoo/files/dissected.h"

namespace kintsugi::zoo {

struct LatencyFile {
  std::string machine;
  int64_t threads = 0, batch_size = 0;
  std::string form;  // of the stitches
  struct Part {      // of stems and heads that are a network's own: its name alone
    std::string model;
    int64_t first = 0, last = 0;
    bool home = false;  // with the class token
    double ms = 0;
  };
  std::vector<Part> stems, blocks, heads;
  struct Joint {
    nn::FeatureShape in, out;  // of a fresh head: what it pools, and a width of `classes`
    double ms = 0;
  };
  std::vector<Joint> stitches, fresh_heads;
  // An assembly takes constant_ms + factor * the sum of its parts: fitted to whole assemblies, and
  // checked on others.
  double factor = 1, constant_ms = 0;
  struct Assembly {
    double predicted_ms = 0, measured_ms = 0;
  };
  std::vector<Assembly> fitted, checked;
  double median_error = 0, max_error = 0;  // relative, over `checked`
};
LatencyFile read_latency(const std::filesystem::path& path);
void write_latency(const std::filesystem::path& path, const LatencyFile& file);

}  // namespace kintsugi::zoo

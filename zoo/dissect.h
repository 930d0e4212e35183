// Taking networks apart: their nodes with costs, and the members of a zoo.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "kintsugi/zoo/datasets/dataset.h"
#include "kintsugi/zoo/datasets/loader.h"
#include "kintsugi/zoo/files/dissected.h"
#include "kintsugi/zoo/files/zoo_file.h"
#include "kintsugi/zoo/load.h"

namespace kintsugi::zoo {

// Nodes, costs and shapes of a network; `name` as in the later files.
DissectedModel dissect(const std::string& name, nn::Network& network);

struct ZooMember {
  std::string name;
  std::filesystem::path weights;
  std::string licence;
  LoadedNetwork loaded;
};
// All networks of a zoo with weights. A zoo of one, or a name twice, is an Error.
std::vector<ZooMember> load_zoo(const ZooFile& zoo);

// How a loader must yield pixels for a network of this input and preprocessing.
LoaderOptions loader_options(const Shape& input, const Preprocessing& preprocessing,
                             int64_t batch_size);
// The first `images` indices (at most) of the data set's order under a seed.
std::vector<int64_t> seeded_images(const std::shared_ptr<const Dataset>& data, int64_t images,
                                   uint64_t seed);

}  // namespace kintsugi::zoo

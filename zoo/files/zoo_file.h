// ZOO.json: networks with their weights.
// Reading checks all that the steps rely on: kFormat with the field's name. Another major version is
// refused, unknown fields are ignored, paths are relative to the file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace kintsugi::zoo {

struct ZooFile {
  struct Model {
    std::string model;  // a name of the catalog
    std::filesystem::path weights;  // as found from the working directory
    int64_t classes = 0;
    std::vector<double> mean, std;
    std::string licence;
    std::string name = {};  // in later files, where two checkpoints are of one model; "": the model
  };
  std::vector<Model> models;
};
ZooFile read_zoo(const std::filesystem::path& path);
void write_zoo(const std::filesystem::path& path, const ZooFile& zoo);

}  // namespace kintsugi::zoo

// SIM.json: how alike all positions of a zoo are.
// Reading checks all that the steps rely on: kFormat with the field's name. Another major version is
// refused, unknown fields are ignored, paths are relative to the file.
#pragma once

#include "kintsugi/solvers/matrix.h"
#include "kintsugi/zoo/files/dissected.h"

namespace kintsugi::zoo {

struct SimilarityFile {
  std::string metric = "linear-cka";
  int64_t images = 0;  // 0: unknown
  std::vector<DissectedModel> models;
  solvers::Matrix similarity;  // square, over all positions of all models in order
};
SimilarityFile read_similarity(const std::filesystem::path& path);
void write_similarity(const std::filesystem::path& path, const SimilarityFile& file);

}  // namespace kintsugi::zoo

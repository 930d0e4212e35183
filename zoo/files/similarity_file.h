// SIM.json: how alike all positions of a zoo are.
// Reading checks all that the steps rely on: kFormat with the field's name. Another major version
// is refused, unknown fields are ignored, paths are relative to the file.
#pragma once

#include <optional>
#include <span>
#include <utility>

#include "kintsugi/solvers/matrix.h"
#include "kintsugi/zoo/files/dissected.h"

namespace kintsugi::zoo {

enum class Metric {
  kLinearCka,          // biased, as the paper's code
  kLinearCkaUnbiased,  // from HSIC_1
  kRbfCka,
  kLinearRegression,  // R^2, directed: row predicts column
  kCca,
  kSvcca,
};

// A metric by its name in the file, and what it can give: reading holds a file to it. The greatest
// value, and that of a position with itself, is 1.
struct MetricLaws {
  const char* name;
  bool symmetric;
  double least;
};
std::span<const MetricLaws> metric_laws();  // in the enum's order
inline const MetricLaws& laws_of(Metric metric) {
  return metric_laws()[size_t(metric)];
}

struct SimilarityFile {
  std::string metric = "linear-cka";  // one that the table lacks is taken as it is
  // How it was measured, as far as the file says; 0 and "" where it does not.
  int64_t images = 0;
  int64_t batch_size = 0;
  uint64_t seed = 0;
  int64_t tokens = 0;  // sampled of each image; 0: features are pooled
  std::string compat;  // "dery": as the reference measures
  struct Projected {
    std::string method;
    int64_t dims = 0;
    uint64_t seed = 0;
    double kept = 0;  // the least share of a position's variance that was kept
  };
  std::optional<Projected> projection;
  double ridge = 0;
  // Pairs of positions, the first the smaller, that were measured without the projection.
  std::vector<std::pair<int64_t, int64_t>> exact;

  std::vector<DissectedModel> models;
  solvers::Matrix similarity;  // square, over all positions of all models in order
};
SimilarityFile read_similarity(const std::filesystem::path& path);
void write_similarity(const std::filesystem::path& path, const SimilarityFile& file);

}  // namespace kintsugi::zoo

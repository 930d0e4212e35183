// The similarity of all positions of a zoo.
#pragma once

#include <functional>
#include <memory>
#include <stop_token>
#include <vector>

#include "kintsugi/solvers/similarity.h"
#include "kintsugi/zoo/dissect.h"
#include "kintsugi/zoo/files/similarity_file.h"

namespace kintsugi::zoo {

struct SimilarityOptions {
  int64_t images = 2048;     // at most; the first of the seeded order
  int64_t batch_size = 256;  // of the estimator
  uint64_t seed = 0;
  solvers::CkaOptions cka = {};
};
// Every network sees the same images under its own input size and normalisation, in evaluation mode.
SimilarityFile similarity_of(std::vector<ZooMember>& members, std::shared_ptr<const Dataset> data,
                             const SimilarityOptions& options,
                             const std::function<void(double)>& progress = {},
                             std::stop_token stop = {});

}  // namespace kintsugi::zoo

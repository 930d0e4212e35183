// The JSON files between the steps: ZOO, SIM, PARTITION and PLAN. Each begins with its format and
// major version; another major is refused, unknown fields are ignored, paths are relative to the file.
// Reading checks everything that the steps rely on: kFormat with the field's name.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "kintsugi/nn/blocks/feature.h"
#include "kintsugi/nn/network.h"
#include "kintsugi/solvers/matrix.h"
#include "kintsugi/zoo/catalog.h"

namespace kintsugi::zoo {

struct ZooFile {
  struct Model {
    std::string model;    // a name of the catalog; also its name in all later files
    std::filesystem::path weights;  // as found from the working directory
    int64_t classes = 0;
    std::vector<double> mean, std;
    std::string licence;
  };
  std::vector<Model> models;
};
ZooFile read_zoo(const std::filesystem::path& path);
void write_zoo(const std::filesystem::path& path, const ZooFile& zoo);

// A network as the solvers see it: atomic nodes with costs and shapes.
struct DissectedModel {
  std::string name;
  std::filesystem::path weights;  // may be empty: then nothing can be assembled from it
  std::string sha256;             // of the weights
  std::string naming;             // as in their card
  std::vector<std::string> nodes;
  std::vector<nn::Cost> costs;                 // per node
  std::vector<nn::FeatureShape> in, out;       // per node
  int64_t positions() const { return int64_t(nodes.size()) + 1; }
};

struct SimilarityFile {
  std::string metric = "linear-cka";
  int64_t images = 0;  // 0: unknown
  std::vector<DissectedModel> models;
  solvers::Matrix similarity;  // square, over all positions of all models in order
};
SimilarityFile read_similarity(const std::filesystem::path& path);
void write_similarity(const std::filesystem::path& path, const SimilarityFile& file);

// Nodes first..last of a model, 1-based, inclusive.
struct BlockRange {
  std::string model;
  int64_t first = 0, last = 0;
  friend bool operator==(const BlockRange&, const BlockRange&) = default;
};

struct PartitionFile {
  int64_t k = 0;
  double epsilon = 0;
  std::string size_bound = "ceil";
  std::vector<DissectedModel> models;
  std::vector<std::vector<int64_t>> cuts;  // per model, K-1 positions
  struct Set {
    BlockRange anchor;
    std::vector<BlockRange> blocks;
    std::vector<double> similarity;  // of each block to the anchor
  };
  std::vector<Set> sets;
  // (K-1, blocks of set k, blocks of set k+1): similarity of the left's output and the right's input.
  std::vector<solvers::Matrix> stitches;
  double objective = 0, bound = 0, gap = 0, seconds = 0;
  struct Heuristic {
    double objective = 0, seconds = 0;
  };
  std::optional<Heuristic> heuristic;  // the paper's, beside it
};
PartitionFile read_partition(const std::filesystem::path& path);
void write_partition(const std::filesystem::path& path, const PartitionFile& file);
std::string partition_json(const PartitionFile& file);  // what `partition --json` prints

struct PlanFile {
  Shape input;  // (C,H,W)
  int64_t classes = 0;
  struct Part {  // a network that something is taken from
    std::string model;
    std::filesystem::path weights;
    std::string sha256;
    std::string naming;  // what its weights' card said: the network is built accordingly
  };
  struct Stem {
    std::optional<Part> part;  // the network's own stem, or a fresh one:
    int64_t fresh_channels = 0;
  } stem;
  struct Block : Part {
    int64_t first = 0, last = 0;
  };
  std::vector<Block> blocks;
  struct Stitch {
    std::string mode, form;
    nn::FeatureShape in, out;
    int64_t stride = 1;
  };
  std::vector<Stitch> stitches;
  std::optional<Part> head;  // the last network's own head; none: a fresh linear one on pooled features
  Preprocessing preprocessing;
  std::vector<std::string> labels;
  int64_t params = 0, macs = 0;
  double objective = 0, bound = 0, gap = 0;
  // The reassembled network's own trained weights, where it has been trained.
  std::filesystem::path weights;
};
PlanFile read_plan(const std::filesystem::path& path);
void write_plan(const std::filesystem::path& path, const PlanFile& plan);

}  // namespace kintsugi::zoo

// A small, class-balanced part of a data set, written as IDX files: what the repository ships.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "kintsugi/zoo/datasets/dataset.h"

namespace kintsugi::zoo {

// `count` indices (all, where there are fewer) in the seed's order, class by class in turn: the
// numbers of two classes differ by at most one where neither runs out. Error kUsage for none.
std::vector<int64_t> stratified_sample(const Dataset& dataset, int64_t count, uint64_t seed);

// `count` indices in ascending order, the same number of every class (count must be a multiple of
// the number of classes), chosen at random by the seed. Error kUsage where a class has too few.
std::vector<int64_t> balanced_subset(const Dataset& dataset, int64_t count, uint64_t seed);

// {train|t10k}-{images-idx3,labels-idx1}-ubyte.gz in `folder`, which is made, and
// classes.txt where the classes have names that are not numbers. Images must be grey and of one
// size. The same input gives the same bytes (with the same zlib).
void write_idx(const std::filesystem::path& folder, Split split, const Dataset& dataset,
               const std::vector<int64_t>& indices);

}  // namespace kintsugi::zoo

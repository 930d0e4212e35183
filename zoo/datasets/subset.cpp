#include "kintsugi/zoo/datasets/subset.h"

#include <algorithm>
#include <numeric>

#include "kintsugi/engine/core/error.h"
#include "kintsugi/zoo/datasets/gzip.h"
#include "kintsugi/zoo/datasets/shuffle.h"
#include "kintsugi/zoo/datasets/sources.h"
#include "kintsugi/zoo/weights/atomic_file.h"

namespace kintsugi::zoo {

namespace {

void append_big_endian(std::vector<uint8_t>& out, uint64_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(uint8_t(value >> shift));
}

void write_gzip(const std::filesystem::path& path, const std::vector<uint8_t>& bytes) {
  const std::vector<uint8_t> packed = gzip(bytes);
  AtomicFile file(path);
  file.write(std::as_bytes(std::span(packed)));
  file.commit();
}

}  // namespace

std::vector<int64_t> stratified_sample(const Dataset& dataset, int64_t count, uint64_t seed) {
  if (count < 1) fail(ErrorKind::kUsage, "sample: got ", count, " images, expected at least 1");
  // Classes take their turns in the order in which the shuffled images name them.
  std::vector<std::vector<int64_t>> queues;
  std::vector<size_t> queue_of(dataset.classes().size(), dataset.classes().size());
  for (const int64_t index : shuffled(dataset.size(), seed, kSubsetStream)) {
    size_t& queue = queue_of[size_t(dataset.label(index))];
    if (queue == queue_of.size()) {
      queue = queues.size();
      queues.emplace_back();
    }
    queues[queue].push_back(index);
  }
  const auto wanted = size_t(std::min(count, dataset.size()));
  std::vector<int64_t> chosen;
  for (size_t turn = 0; chosen.size() < wanted; ++turn) {
    for (const std::vector<int64_t>& queue : queues) {
      if (turn < queue.size() && chosen.size() < wanted) chosen.push_back(queue[turn]);
    }
  }
  return chosen;
}

std::vector<int64_t> balanced_subset(const Dataset& dataset, int64_t count, uint64_t seed) {
  const auto classes = static_cast<int64_t>(dataset.classes().size());
  if (count <= 0 || count % classes != 0) {
    fail(ErrorKind::kUsage, "subset: got ", count, " images, expected a multiple of the ", classes,
         " classes");
  }
  std::vector<int64_t> chosen = stratified_sample(dataset, count, seed);
  std::vector<int64_t> taken(size_t(classes), 0);
  for (const int64_t index : chosen) ++taken[size_t(dataset.label(index))];
  for (size_t i = 0; i < taken.size(); ++i) {
    if (taken[i] >= count / classes) continue;
    fail(ErrorKind::kUsage, "subset: class '", dataset.classes()[i], "' has ", taken[i],
         " images, expected at least ", count / classes);
  }
  std::sort(chosen.begin(), chosen.end());
  return chosen;
}

void write_idx(const std::filesystem::path& folder, Split split, const Dataset& dataset,
               const std::vector<int64_t>& indices) {
  if (indices.empty()) fail(ErrorKind::kUsage, "write_idx: got no images");
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) fail(ErrorKind::kIo, folder.string(), ": cannot make the folder: ", error.message());

  const Image first = dataset.image(indices.front());
  std::vector<uint8_t> pixels, labels;
  append_big_endian(pixels, 0x0803);
  for (const uint64_t extent :
       {uint64_t(indices.size()), uint64_t(first.height), uint64_t(first.width)}) {
    append_big_endian(pixels, extent);
  }
  append_big_endian(labels, 0x0801);
  append_big_endian(labels, indices.size());
  for (const int64_t index : indices) {
    const Image image = dataset.image(index);
    if (image.channels != 1 || image.height != first.height || image.width != first.width) {
      fail(ErrorKind::kShape, "write_idx: image ", index, " is (", image.channels, ",",
           image.height, ",", image.width, "), expected (1,", first.height, ",", first.width, ")");
    }
    const int64_t label = dataset.label(index);
    if (label > 255)
      fail(ErrorKind::kShape, "write_idx: got label ", label, ", expected at most 255");
    pixels.insert(pixels.end(), image.pixels.begin(), image.pixels.end());
    labels.push_back(uint8_t(label));
  }
  const std::string part = split == Split::kTrain ? "train" : "t10k";
  write_gzip(folder / (part + "-images-idx3-ubyte.gz"), pixels);
  write_gzip(folder / (part + "-labels-idx1-ubyte.gz"), labels);
  if (dataset.classes() == numbered_classes(int64_t(dataset.classes().size()))) return;
  std::string names;
  for (const auto& name : dataset.classes()) names += name + "\n";
  write_file_atomically(folder / "classes.txt", names);
}

}  // namespace kintsugi::zoo

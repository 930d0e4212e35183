// Batches of pixels in a shuffled order, augmented, made ahead of time by a thread of their own.
//
// Batch b of epoch e is a pure function of (data set, options, e, b): neither the number of threads
// nor where an epoch was resumed changes a bit of it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "kintsugi/engine/core/tensor.h"
#include "kintsugi/zoo/datasets/dataset.h"
#include "kintsugi/zoo/datasets/resize.h"

namespace kintsugi::zoo {

struct Augment {
  int crop_padding = 0;          // pad by so many black pixels on each side, crop back at random
  bool horizontal_flip = false;  // with probability 1/2
  double erase_probability = 0;  // of one rectangle of random bytes (Zhong et al., 2017)
  double erase_area_min = 0.02;  // of the image
  double erase_area_max = 1.0 / 3;
  friend bool operator==(const Augment&, const Augment&) = default;
};

struct LoaderOptions {
  int64_t batch_size = 128;
  uint64_t seed = 0;
  bool shuffle = false;
  bool drop_last = false;  // leave out a last batch that is not full
  Augment augment = {};
  // 0: as the first image. Grey is repeated for three channels; three become luma
  // (0.299 R + 0.587 G + 0.114 B, as PIL) for one.
  int channels = 0;
  // 0: as the first image, and every image must be of that size. Otherwise images are resized.
  int height = 0;
  int width = 0;
  Interpolation interpolation = Interpolation::kBilinear;
  // 0: the whole image is squeezed to height x width. In (0,1]: the image is resized so that it
  // covers floor(height / f) x floor(width / f), its shape kept, and the centre is cut out (timm).
  double crop_fraction = 0;
  int prefetch = 4;  // batches made ahead by a thread; 0: none, batches are made in next()
};

struct Batch {
  int64_t count = 0;
  int height = 0;
  int width = 0;
  int channels = 0;
  std::vector<uint8_t> pixels;   // (N,H,W,C)
  std::vector<int64_t> labels;   // (N)
  std::vector<int64_t> indices;  // (N), into the data set
  int64_t epoch = 0;
  int64_t step = 0;  // of the epoch, from 0
};

// One pass over the data. An Error of the thread comes out of next(), in its batch's turn.
class EpochReader {
 public:
  ~EpochReader();
  EpochReader(EpochReader&&) noexcept;
  EpochReader& operator=(EpochReader&&) noexcept;
  std::optional<Batch> next();  // nullopt after the last; not from several threads at once

 private:
  friend class Loader;
  struct State;
  explicit EpochReader(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

class Loader {
 public:
  // Error kUsage where an option makes no sense.
  Loader(std::shared_ptr<const Dataset> dataset, LoaderOptions options);

  const Dataset& dataset() const { return *dataset_; }
  const LoaderOptions& options() const { return options_; }  // channels, height, width filled in
  int64_t steps() const;                                     // batches of an epoch
  int64_t images() const;                                    // of an epoch

  // Batches first_step, first_step + 1, ... of an epoch; the bits are those of an unbroken epoch.
  EpochReader epoch(int64_t epoch, int64_t first_step = 0) const;

  // The data set's indices in the order of an epoch: a permutation of 0..size-1.
  std::vector<int64_t> order(int64_t epoch) const;

  // Any batch by itself: data set indices, augmented as in that epoch.
  Batch batch_of(std::span<const int64_t> indices, int64_t epoch = 0) const;

 private:
  std::shared_ptr<const Dataset> dataset_;
  LoaderOptions options_;
  bool resize_ = false;  // a size was asked for
};

// (N,C,H,W) f32, channels last in memory: (pixel / 255 - mean[c]) / std[c]. mean and std have
// batch.channels values (a single value serves all channels); std > 0.
Tensor normalise(const Batch& batch, std::span<const double> mean, std::span<const double> std);

// (N) i64, for the losses.
Tensor labels_of(const Batch& batch);

}  // namespace kintsugi::zoo

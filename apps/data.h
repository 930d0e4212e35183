// Data sets as networks take them: each network under its own input size and normalisation.
#pragma once

#include <functional>
#include <memory>
#include <stop_token>
#include <string>

#include "kintsugi/nn/train/trainer.h"
#include "kintsugi/zoo/card.h"
#include "kintsugi/zoo/datasets/loader.h"

namespace kintsugi::apps {

// The images at `indices` of another data set, in that order.
class Selection : public zoo::Dataset {
 public:
  Selection(std::shared_ptr<const zoo::Dataset> from, std::vector<int64_t> indices);
  int64_t size() const override { return int64_t(indices_.size()); }
  const std::vector<std::string>& classes() const override { return from_->classes(); }
  zoo::Image image(int64_t index) const override { return from_->image(at(index)); }
  int64_t label(int64_t index) const override { return from_->label(at(index)); }
  bool has_splits() const override { return from_->has_splits(); }
  std::string kind() const override { return from_->kind(); }

 private:
  int64_t at(int64_t index) const { return indices_.at(size_t(index)); }
  std::shared_ptr<const zoo::Dataset> from_;
  std::vector<int64_t> indices_;
};

// The first `count` images of the seeded order; all of them for 0 or more than there are.
std::shared_ptr<const zoo::Dataset> first_of(std::shared_ptr<const zoo::Dataset> data,
                                             int64_t count, uint64_t seed);

// An endless supply of shuffled, normalised epochs for a Trainer.
nn::BatchSource batches_of(std::shared_ptr<zoo::Loader> loader,
                           const zoo::Preprocessing& preprocessing);

// Of all images in order. kUsage where the labels do not fit the network's classes; kInterrupted on
// a stop.
nn::Evaluation evaluate(nn::Network& network, const zoo::Card& card,
                        std::shared_ptr<const zoo::Dataset> data, int64_t batch_size,
                        const std::function<void(int64_t images)>& progress = {},
                        std::stop_token stop = {});

}  // namespace kintsugi::apps

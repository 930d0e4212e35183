// A network is a stem, an ordered list of named blocks, and a head. Dissecting reads this list, and a
// reassembled network is one more such list; nothing about any one architecture is typed elsewhere.
// In mixed precision features are bf16, logits f32.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "kintsugi/engine/program/program.h"
#include "kintsugi/nn/blocks/feature.h"
#include "kintsugi/nn/module.h"

namespace kintsugi::nn {

struct Cost {
  int64_t params = 0;
  int64_t macs = 0;  // for one image
};

// What a module does to an input of this shape in evaluation mode, recorded without computing.
struct ShapeRun {
  Shape output;
  Program program;
};
ShapeRun shape_run(Module& module, const Shape& input);

// Parameters, and MACs by recording one shape-only run on an input of this shape with N = 1.
Cost cost_of(Module& module, const Shape& input);

class Network : public Module {
 public:
  struct Block {
    std::string name;
    std::shared_ptr<Module> module;
    FeatureShape in, out;
  };

  // input: (C,H,W) of the images that the network takes.
  Network(std::string name, const Shape& input, int64_t classes);

  // In this order. `tokens` says how the stem's tokens lie on a grid, if it makes tokens. Shapes are
  // found by a shape-only run; an Error where blocks do not fit each other.
  void set_stem(const std::string& name, std::shared_ptr<Module> stem,
                const FeatureShape* tokens = nullptr);
  void add_block(const std::string& name, std::shared_ptr<Module> block);
  // The block's tensors are named under `prefix` instead of `name`; `out` is told where a block
  // changes the token grid.
  void add_block(const std::string& name, std::shared_ptr<Module> block, const std::string& prefix,
                 const FeatureShape* out);
  void set_head(const std::string& name, std::shared_ptr<Module> head);

  const std::string& name() const { return name_; }
  const Shape& input() const { return input_; }
  int64_t classes() const { return classes_; }
  const std::shared_ptr<Module>& stem() const { return stem_; }
  const std::shared_ptr<Module>& head() const { return head_; }
  const std::vector<Block>& blocks() const { return blocks_; }
  // Position 0 is the input of the first block, position p the output of block p (1-based).
  int64_t positions() const { return int64_t(blocks_.size()) + 1; }
  const FeatureShape& feature_at(int64_t position) const;

  // Blocks from+1 .. to (1-based), on the feature at position `from`.
  Variable run(const Variable& x, int64_t from, int64_t to);
  // A whole forward that shows the feature at every position on its way.
  Variable forward_features(const Variable& images,
                            const std::function<void(int64_t position, const Variable&)>& at);

  Cost cost();                // of everything
  Cost stem_cost();
  Cost block_cost(int64_t index);  // 0-based
  Cost head_cost();

  // The first convolution's and the classifier's weights by name, for other numbers of input channels
  // and classes ("conv1.weight", "fc").
  std::string first_conv, classifier;

 protected:
  Variable forward(const Variable& images) override;

 private:
  std::string name_;
  Shape input_;
  int64_t classes_;
  Variable logits_of(const Variable& feature);

  std::shared_ptr<Module> stem_, head_;
  FeatureShape stem_out_;
  std::vector<Block> blocks_;
};

// A copy of the features of `x` pooled to (N,C): the mean over the grid, or over all tokens.
Tensor pooled(const Variable& x);

}  // namespace kintsugi::nn

// The four reassembled networks that DeRy published (https://arxiv.org/abs/2210.17409; the
// configurations beside its code), built from block ranges of our networks: their parameters to the
// last digit.
#include "kintsugi/nn/blocks/heads.h"
#include "kintsugi/nn/blocks/stitch.h"
#include "kintsugi/zoo/catalog.h"
#include "tests/support/compare.h"

using namespace kintsugi;
using nn::FeatureShape;

namespace {

struct Range {
  const char *model, *first, *last;
  int64_t stride;  // of the stitch before it
  int64_t params;
};

struct Published {
  const char* name;
  std::vector<Range> ranges;
  int64_t trained;  // stem, stitches and head
  int64_t params;
  double gmacs;  // as published; their count leaves attention's products out and has norms in
};

const Published kPublished[] = {
    {"DeRy(4,10,3)",
     {{"regnety_160", "s1.b1", "s1.b2", 1, 648768},
      {"mobilenetv3_large_100", "blocks.2.2", "blocks.2.2", 1, 20992},
      {"regnety_008", "s3.b4", "s3.b8", 1, 1522000},
      {"regnety_016", "s3.b16", "s4.b2", 1, 4618458}},
     1024216,
     7834434,
     2.99},
    {"DeRy(4,30,6)",
     {{"resnext50_32x4d", "layer1.0", "layer1.2", 1, 205824},
      {"resnet50", "layer1.2", "layer3.1", 1, 3919616},
      {"resnet50", "layer2.2", "layer2.2", 1, 280064},
      {"swin_small_patch4_window7_224", "layers.2.blocks.16", "layers.3.blocks.1", 1, 18919560}},
     1568552,
     24893616,
     4.47},
    {"DeRy(4,50,10)",
     {{"resnet50", "layer1.0", "layer1.1", 1, 145408},
      {"regnety_032", "s2.b2", "s3.b2", 2, 2389950},
      {"resnet101", "layer3.8", "layer3.22", 1, 16757760},
      {"resnet50", "layer3.4", "layer4.2", 1, 17199104}},
     3921832,
     40414054,
     6.43},
    {"DeRy(4,90,20)",
     {{"resnext50_32x4d", "layer1.0", "layer1.2", 1, 205824},
      {"swin_small_patch4_window7_224", "layers.0.blocks.1", "layers.0.blocks.1", 1, 112347},
      {"swin_small_patch4_window7_224", "layers.1.downsample", "layers.2.blocks.15", 1, 29686572},
      {"swin_base_patch4_window7_224", "layers.2.blocks.11", "layers.3.blocks.1", 1, 49390128}},
     1266408,
     80661279,
     13.29},
};

size_t index_of(const nn::Network& network, const std::string& name) {
  for (size_t i = 0; i < network.blocks().size(); ++i) {
    if (network.blocks()[i].name == name) return i;
  }
  FAIL(network.name() << " has no block " << name);
  return 0;
}

}  // namespace

TEST_CASE("dery: the published assemblies from our blocks and stitches") {
  for (const Published& published : kPublished) {
    INFO(std::string(published.name));
    nn::Network network(published.name, {3, 224, 224}, 1000);
    int64_t trained = 0;
    for (size_t r = 0; r < published.ranges.size(); ++r) {
      const Range& range = published.ranges[r];
      const auto source = zoo::build_network(range.model);
      const size_t first = index_of(*source, range.first), last = index_of(*source, range.last);
      FeatureShape wanted = source->blocks()[first].in;
      if (r == 0) {
        const auto stem = nn::dery_stem(3, wanted.c);
        network.set_stem("stem", stem);
        trained += stem->parameter_count();
      } else {
        // Blocks see another grid than at home: only the stitch's stride changes it.
        const FeatureShape now = network.feature_at(network.positions() - 1);
        wanted.h = now.h / range.stride;
        wanted.w = now.w / range.stride;
        auto stitch = std::make_shared<nn::Stitch>(now, wanted, nn::StitchForm::kDery);
        REQUIRE(stitch->stride() == range.stride);
        const FeatureShape out = stitch->out();
        trained += stitch->parameter_count();
        const std::string name = "stitches." + std::to_string(r - 1);
        network.add_block(name, std::move(stitch), name, &out);
      }
      int64_t params = 0;
      for (size_t i = first; i <= last; ++i) {
        const nn::Network::Block& block = source->blocks()[i];
        FeatureShape out = block.out;
        out.prefix_tokens = 0;
        const std::string name = "blocks." + std::to_string(r) + "." + block.name;
        params += block.module->parameter_count();
        if (out.is_grid()) {
          network.add_block(name, block.module);
        } else {
          network.add_block(name, block.module, name, &out);
        }
      }
      INFO(std::string(range.model));
      CHECK(params == range.params);
    }
    const FeatureShape last = network.feature_at(network.positions() - 1);
    auto head = std::make_shared<nn::PoolHead>(last.c, 1000, nn::PoolHead::Options{});
    trained += head->parameter_count();
    network.set_head("head", std::move(head));
    CHECK(trained == published.trained);
    const nn::Cost cost = network.cost();
    CHECK(cost.params == published.params);
    CHECK(double(cost.macs) * 1e-9 == doctest::Approx(published.gmacs).epsilon(0.03));
  }
}

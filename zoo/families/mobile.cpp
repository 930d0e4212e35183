#include "kintsugi/zoo/families/mobile.h"

#include <algorithm>
#include <cmath>

#include "kintsugi/engine/ops/layout.h"
#include "kintsugi/nn/blocks/heads.h"

namespace kintsugi::zoo::families {

namespace {

using nn::MobileKind;
using Squeeze = MobileDescription::Squeeze;

constexpr const char* kTorchvision = "torchvision";
constexpr const char* kLukemelas = "efficientnet_pytorch";

struct Block {
  std::string name;
  MobileKind kind;
  int64_t in, out;
  nn::MobileBlockOptions options;
};

int64_t width_of(const MobileDescription& d, int64_t channels) {
  return round_channels(double(channels) * d.width, d.divisor, d.shrink);
}

int64_t stem_width(const MobileDescription& d) {
  return d.fixed_ends || d.fixed_stem ? d.stem : width_of(d, d.stem);
}

int64_t se_channels(const MobileDescription& d, double se, int64_t in, int64_t inner) {
  if (se == 0) return 0;
  switch (d.squeeze) {
    case Squeeze::kInput:
      return std::lround(double(in) * se);
    case Squeeze::kInputRounded:
      return round_channels(double(in) * se, d.divisor, d.shrink);
    case Squeeze::kInner:
      return std::lround(double(inner) * se);
    case Squeeze::kInnerRounded:
      return round_channels(double(inner) * se);
  }
  fail(ErrorKind::kMissing, "mobile stage: no squeeze of number ", int(d.squeeze));
}

// How often each stage repeats. A group of stages (one resolution) is scaled as a whole, then
// shared out from its end, so that its first stage grows last; halves round to even, as in Python.
std::vector<int64_t> repeats_of(const MobileDescription& d) {
  std::vector<size_t> begins;
  for (size_t i = 0; i < d.stages.size(); ++i) {
    if (!d.stages[i].joined) begins.push_back(i);
  }
  std::vector<int64_t> repeats(d.stages.size());
  for (size_t group = 0; group < begins.size(); ++group) {
    const size_t begin = begins[group];
    const size_t end = group + 1 < begins.size() ? begins[group + 1] : d.stages.size();
    const bool end_stage = group == 0 || group + 1 == begins.size();
    const double depth =
        d.fixed_ends && end_stage ? 1 : d.depths[std::min(group, d.depths.size() - 1)];
    int64_t total = 0;
    for (size_t i = begin; i < end; ++i) total += d.stages[i].repeat;
    int64_t scaled = int64_t(std::ceil(double(total) * depth));
    for (size_t i = end; i-- > begin;) {
      const int64_t repeat = d.stages[i].repeat;
      if (d.round_depths) {
        repeats[i] = std::max<int64_t>(1, int64_t(std::nearbyint(double(repeat) * depth)));
        continue;
      }
      repeats[i] = std::max<int64_t>(
          1, int64_t(std::nearbyint(double(repeat) / double(total) * double(scaled))));
      total -= repeat;
      scaled -= repeats[i];
    }
  }
  return repeats;
}

std::vector<Block> blocks_of(const MobileDescription& d) {
  std::vector<Block> blocks;
  const std::vector<int64_t> repeats = repeats_of(d);
  int64_t in = stem_width(d), group = -1, number = 0;
  for (size_t s = 0; s < d.stages.size(); ++s) {
    const MobileStage& stage = d.stages[s];
    const int64_t out = width_of(d, stage.channels);
    if (!stage.joined) {
      ++group;
      number = 0;
    }
    for (int64_t i = 0; i < repeats[s]; ++i, ++number) {
      const bool deep = d.space_to_depth && group == 0;
      const bool leaves_deep = d.space_to_depth && group == 1 && number == 0;
      const int64_t wide = deep ? 4 * out : out;
      const int64_t from = stage.expand_from > 0 ? width_of(d, stage.expand_from) : in;
      const bool expands = stage.kind == MobileKind::kInverted || stage.kind == MobileKind::kEdge;
      const double expand = leaves_deep ? stage.expand / 4 : stage.expand;
      const int64_t inner = expands ? round_channels(double(from) * expand) : in;
      const nn::Act act = stage.act.value_or(d.act);
      blocks.push_back({"blocks." + std::to_string(group) + "." + std::to_string(number),
                        stage.kind,
                        in,
                        wide,
                        {.kernel = stage.kernel,
                         .stride = number == 0 && !leaves_deep ? stage.stride : 1,
                         .inner = inner,
                         .group_size = d.group_size,
                         .se_channels = se_channels(d, stage.se, in, inner),
                         .global_context = d.global_context,
                         .act = act,
                         .gate = d.gate,
                         .se_act = d.se_act.value_or(act),
                         .same = d.same,
                         .blur = d.blur,
                         .space_to_depth = deep && number == 0,
                         .norm = d.norm,
                         .shortcut = stage.shortcut,
                         .act_last = stage.act_last}});
      in = wide;
    }
  }
  return blocks;
}

std::shared_ptr<nn::Module> make_stem(const MobileDescription& d, int64_t in, int64_t out) {
  auto stem = std::make_shared<nn::Sequential>();
  stem->add<nn::Conv2d>(
      "conv_stem", in, out,
      nn::Conv2d::Options{.kernel = 3, .stride = d.small ? 1 : 2, .padding = 1, .same = d.same});
  stem->adopt("bn1", d.norm.make(out));
  stem->add<nn::Activation>("act1", d.act);
  return stem;
}

std::shared_ptr<nn::Module> make_head(const MobileDescription& d, int64_t in, int64_t classes) {
  auto head = std::make_shared<nn::Sequential>();
  if (d.head == 0) {
    head->add<nn::GlobalAvgPool>("flatten");
    head->adopt("classifier", nn::make_classifier(in, classes));
    return head;
  }
  if (d.head_after_pool) head->add<nn::GlobalAvgPool>("global_pool", true);
  head->add<nn::Conv2d>("conv_head", in, d.head,
                        nn::Conv2d::Options{.bias = d.head_after_pool && d.head_bias});
  if (!d.head_after_pool) head->adopt("bn2", d.norm.make(d.head));
  head->add<nn::Activation>("act2", d.act);
  head->add<nn::GlobalAvgPool>("flatten");
  head->adopt("classifier", nn::make_classifier(d.head, classes));
  return head;
}

std::shared_ptr<nn::Network> build(const Variant& variant, const BuildOptions& options,
                                   MobileDescription d) {
  if (options.naming == kLukemelas) d = tensorflow(d);
  if (options.naming == kTorchvision) d.norm.epsilon = d.torchvision_epsilon;
  auto network = std::make_shared<nn::Network>(variant.name, options.input, options.classes);
  network->first_conv = "conv_stem.weight";
  network->classifier = "classifier";
  network->set_stem("", make_stem(d, options.input[0], stem_width(d)));
  std::vector<Block> blocks = blocks_of(d);
  for (size_t i = 0; i < blocks.size(); ++i) {
    Block& block = blocks[i];
    // timm lets it grow here towards a block that is not there.
    block.options.drop_path = options.drop_path * double(i) / double(blocks.size());
    network->add_block(block.name,
                       nn::mobile_block(block.kind, block.in, block.out, block.options));
  }
  network->set_head("", make_head(d, blocks.back().out, options.classes));
  return network;
}

// A convolution of a block with its norm; squeeze-and-excitation has none.
struct Part {
  std::string conv, norm;
};

std::vector<Part> parts_of(const Block& block) {
  std::vector<Part> parts;
  switch (block.kind) {
    case MobileKind::kSeparable:
      parts = {{"conv_dw", "bn1"}, {"se", ""}, {"conv_pw", "bn2"}};
      break;
    case MobileKind::kInverted:
      parts = {{"conv_pw", "bn1"}, {"conv_dw", "bn2"}, {"se", ""}, {"conv_pwl", "bn3"}};
      break;
    case MobileKind::kEdge:
      parts = {{"conv_exp", "bn1"}, {"se", ""}, {"conv_pwl", "bn2"}};
      break;
    case MobileKind::kConv:
      parts = {{"conv", "bn1"}};
      break;
  }
  if (block.options.se_channels == 0)
    std::erase_if(parts, [](const Part& p) { return p.conv == "se"; });
  return parts;
}

// Stranger's module -> timm's.
using Names = std::map<std::string, std::string>;

// torchvision numbers what it calls "features": the stem, the blocks (EfficientNet's by stages),
// and the last convolution. A block's parts are numbered below "block"; V2's lie below "conv",
// where the last convolution and its norm count one by one.
Names torchvision_names(const MobileDescription& d, const nn::State& state) {
  const bool by_stages = state.contains("features.1.0.block.0.0.weight");
  const bool v2 = state.contains("features.1.conv.0.0.weight");
  Names names{{"features.0.0", "conv_stem"}, {"features.0.1", "bn1"}};
  int64_t feature = 0;
  for (const Block& block : blocks_of(d)) {
    const bool begins = block.name.ends_with(".0");
    if (!by_stages || begins) ++feature;
    std::string at = "features." + std::to_string(feature);
    if (by_stages) at += block.name.substr(block.name.rfind('.'));
    const std::vector<Part> parts = parts_of(block);
    // V3's last convolution is no block there.
    const bool bare = block.kind == MobileKind::kConv && !by_stages;
    if (!bare) at += v2 ? ".conv" : ".block";
    for (size_t i = 0; i < parts.size(); ++i) {
      const std::string part = bare ? at : at + "." + std::to_string(i);
      const std::string conv = block.name + "." + parts[i].conv;
      if (parts[i].norm.empty()) {
        names[part + ".fc1"] = conv + ".conv_reduce";
        names[part + ".fc2"] = conv + ".conv_expand";
      } else {
        const bool flat = v2 && i + 1 == parts.size();
        names[flat ? part : part + ".0"] = conv;
        names[flat ? at + "." + std::to_string(i + 1) : part + ".1"] =
            block.name + "." + parts[i].norm;
      }
    }
  }
  const std::string last = "features." + std::to_string(feature + 1);
  if (d.head_after_pool) {
    names.insert({{"classifier.0", "conv_head"}, {"classifier.3", "classifier"}});
  } else {
    names.insert(
        {{last + ".0", "conv_head"}, {last + ".1", "bn2"}, {"classifier.1", "classifier"}});
  }
  return names;
}

Names lukemelas_names(const MobileDescription& d) {
  Names names{{"_conv_stem", "conv_stem"},
              {"_bn0", "bn1"},
              {"_conv_head", "conv_head"},
              {"_bn1", "bn2"},
              {"_fc", "classifier"}};
  int64_t index = 0;
  for (const Block& block : blocks_of(d)) {
    const std::string at = "_blocks." + std::to_string(index++) + ".";
    const std::vector<Part> parts = parts_of(block);
    for (size_t i = 0; i < parts.size(); ++i) {
      const std::string conv = block.name + "." + parts[i].conv;
      const std::string norm = block.name + "." + parts[i].norm;
      if (parts[i].conv == "se") {
        names[at + "_se_reduce"] = conv + ".conv_reduce";
        names[at + "_se_expand"] = conv + ".conv_expand";
      } else if (i + 1 == parts.size()) {
        names.insert({{at + "_project_conv", conv}, {at + "_bn2", norm}});
      } else if (parts[i].conv == "conv_dw") {
        names.insert({{at + "_depthwise_conv", conv}, {at + "_bn1", norm}});
      } else {
        names.insert({{at + "_expand_conv", conv}, {at + "_bn0", norm}});
      }
    }
  }
  return names;
}

std::string rename(nn::State& state, const MobileDescription& d) {
  Names names;
  std::string naming;
  if (state.contains("features.0.0.weight")) {
    naming = kTorchvision;
    names = torchvision_names(d, state);
  } else if (state.contains("_conv_stem.weight")) {
    naming = kLukemelas;
    names = lukemelas_names(d);
  } else {
    return "";
  }
  nn::State renamed;
  for (auto& [name, tensor] : state) {
    const size_t dot = std::min(name.rfind('.'), name.size());
    const auto found = names.find(name.substr(0, dot));
    const std::string to = found == names.end() ? name : found->second + name.substr(dot);
    // torchvision's V3 has a linear layer after pooling where timm has a 1x1 convolution.
    const bool linear = to == "conv_head.weight" && tensor.rank() == 2;
    renamed[to] = linear ? ops::reshape(tensor, {tensor.size(0), tensor.size(1), 1, 1}) : tensor;
  }
  state = std::move(renamed);
  return naming;
}

}  // namespace

Variant mobile_variant(const std::string& name, const std::string& family,
                       const MobileDescription& description) {
  Variant v{.name = name, .family = family};
  v.build = [description](const Variant& self, const BuildOptions& options) {
    return build(self, options, description);
  };
  v.rename = [description](nn::State& state) { return rename(state, description); };
  return v;
}

int64_t round_channels(double channels, int64_t divisor, double shrink) {
  const int64_t rounded =
      std::max(divisor, int64_t(channels + double(divisor) / 2) / divisor * divisor);
  return double(rounded) < shrink * channels ? rounded + divisor : rounded;
}

MobileStage conv_stage(int64_t channels) {
  return {.kind = nn::MobileKind::kConv,
          .repeat = 1,
          .kernel = 1,
          .stride = 1,
          .expand = 1,
          .channels = channels,
          .shortcut = false};
}

MobileStage plain_stage(int64_t repeat, int64_t kernel, int64_t stride, int64_t channels,
                        double se) {
  return {.kind = nn::MobileKind::kSeparable,
          .repeat = repeat,
          .kernel = kernel,
          .stride = stride,
          .expand = 1,
          .channels = channels,
          .se = se,
          .shortcut = false,
          .act_last = true};
}

MobileDescription tensorflow(MobileDescription d) {
  d.same = true;
  d.norm.epsilon = 1e-3;
  return d;
}

}  // namespace kintsugi::zoo::families

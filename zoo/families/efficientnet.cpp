// EfficientNet, its Lite and EdgeTPU forms, and V2: https://arxiv.org/abs/1905.11946,
// https://arxiv.org/abs/2104.00298.
#include "kintsugi/zoo/families/families.h"
#include "kintsugi/zoo/families/mobile.h"

namespace kintsugi::zoo::families {

namespace {

using nn::Act;
using Norm = nn::MobileNorm::Kind;
constexpr auto kDs = nn::MobileKind::kSeparable;
constexpr auto kIr = nn::MobileKind::kInverted;
constexpr auto kEr = nn::MobileKind::kEdge;
constexpr auto kCn = nn::MobileKind::kConv;

// Compound scaling: width and depth by name, as the paper and Google's code have them.
struct Scale {
  double width, depth;
};
constexpr Scale kB[] = {{1, 1},     {1, 1.1},   {1.1, 1.2}, {1.2, 1.4}, {1.4, 1.8},
                        {1.6, 2.2}, {1.8, 2.6}, {2, 3.1},   {2.2, 3.6}};
constexpr Scale kL2{4.3, 5.3};

MobileDescription v1(Scale scale, int64_t divisor = 8) {
  return {.stages = efficientnet_stages(),
          .head = round_channels(1280 * scale.width, divisor),
          .act = Act::kSilu,
          .width = scale.width,
          .depths = {scale.depth},
          .divisor = divisor,
          .torchvision_epsilon = scale.width >= 1.6 ? 1e-3 : 1e-5};
}

// timm's experiments: group norm, and "depthwise" convolutions in groups of several channels.
MobileDescription grouped(MobileDescription d, Norm norm, int64_t norm_group, int64_t conv_group) {
  d.norm = {.kind = norm, .group_size = norm_group};
  d.group_size = conv_group;
  return d;
}

// "EfficientNet-X" and "-H", for accelerators: https://arxiv.org/abs/2102.05610.
MobileDescription accelerated(double width, double depth, double expand) {
  MobileDescription d = v1({width, depth});
  for (const size_t stage : {1, 2, 3}) d.stages[stage].expand = expand;
  for (const size_t stage : {1, 2}) {
    d.stages[stage].kind = kEr;
    d.stages[stage].act = Act::kRelu;
  }
  d.space_to_depth = true;
  return d;
}

// Without squeeze-and-excitation and swish; stem, head, first and last stage are not scaled.
MobileDescription lite(Scale scale) {
  MobileDescription d = v1(scale);
  for (MobileStage& stage : d.stages) stage.se = 0;
  d.act = Act::kRelu6;
  d.head = 1280;
  d.fixed_ends = true;
  return d;
}

// https://blog.research.google/2019/08/efficientnet-edgetpu-creating.html
MobileDescription edge(Scale scale) {
  return {.stages = {{.kind = kEr,
                      .repeat = 1,
                      .kernel = 3,
                      .stride = 1,
                      .expand = 4,
                      .channels = 24,
                      .expand_from = 24,
                      .shortcut = false},
                     {kEr, 2, 3, 2, 8, 32},
                     {kEr, 4, 3, 2, 8, 48},
                     {kIr, 5, 5, 2, 8, 96},
                     {kIr, 4, 5, 1, 8, 144},
                     {kIr, 2, 5, 2, 8, 192}},
          .head = round_channels(1280 * scale.width),
          .act = Act::kRelu,
          .width = scale.width,
          .depths = {scale.depth}};
}

MobileDescription v2(std::vector<MobileStage> stages, int64_t stem) {
  return {
      .stages = std::move(stages), .stem = stem, .act = Act::kSilu, .torchvision_epsilon = 1e-3};
}

// V2 B0 to B3, whose widths round to the nearest multiple of 8 even where that shrinks them.
MobileDescription v2_base(Scale scale) {
  MobileDescription d = v2({{kCn, 1, 3, 1, 1, 16},
                            {kEr, 2, 3, 2, 4, 32},
                            {kEr, 2, 3, 2, 4, 48},
                            {kIr, 3, 3, 2, 4, 96, 0.25},
                            {kIr, 5, 3, 1, 6, 112, 0.25},
                            {kIr, 8, 3, 2, 6, 192, 0.25}},
                           32);
  d.width = scale.width;
  d.depths = {scale.depth};
  d.shrink = 0;
  d.head = round_channels(1280 * scale.width, 8, 0);
  return d;
}

MobileDescription v2_small(double width = 1, std::vector<double> depths = {1}) {
  MobileDescription d = v2({{kCn, 2, 3, 1, 1, 24},
                            {kEr, 4, 3, 2, 4, 48},
                            {kEr, 4, 3, 2, 4, 64},
                            {kIr, 6, 3, 2, 4, 128, 0.25},
                            {kIr, 9, 3, 1, 6, 160, 0.25},
                            {kIr, 15, 3, 2, 6, 256, 0.25}},
                           24);
  d.width = width;
  d.depths = std::move(depths);
  d.head = round_channels(1280 * width);
  return d;
}

// timm's own reading of the paper's table, from before Google's code was out.
MobileDescription v2_rw(double width, std::vector<double> depths) {
  MobileDescription d = v2_small(width, std::move(depths));
  d.stages.front().kind = kEr;
  d.stages.back().channels = 272;
  d.head = round_channels(1792 * width);
  return d;
}

MobileDescription v2_medium() {
  return v2({{kCn, 3, 3, 1, 1, 24},
             {kEr, 5, 3, 2, 4, 48},
             {kEr, 5, 3, 2, 4, 80},
             {kIr, 7, 3, 2, 4, 160, 0.25},
             {kIr, 14, 3, 1, 6, 176, 0.25},
             {kIr, 18, 3, 2, 6, 304, 0.25},
             {kIr, 5, 3, 1, 6, 512, 0.25}},
            24);
}

MobileDescription v2_large() {
  return v2({{kCn, 4, 3, 1, 1, 32},
             {kEr, 7, 3, 2, 4, 64},
             {kEr, 7, 3, 2, 4, 96},
             {kIr, 10, 3, 2, 4, 192, 0.25},
             {kIr, 19, 3, 1, 6, 224, 0.25},
             {kIr, 25, 3, 2, 6, 384, 0.25},
             {kIr, 7, 3, 1, 6, 640, 0.25}},
            32);
}

MobileDescription v2_xlarge() {
  return v2({{kCn, 4, 3, 1, 1, 32},
             {kEr, 8, 3, 2, 4, 64},
             {kEr, 8, 3, 2, 4, 96},
             {kIr, 16, 3, 2, 4, 192, 0.25},
             {kIr, 24, 3, 1, 6, 256, 0.25},
             {kIr, 32, 3, 2, 6, 512, 0.25},
             {kIr, 8, 3, 1, 6, 640, 0.25}},
            32);
}

// timm's network for its own tests.
MobileDescription tiny(Norm norm) {
  MobileDescription d = v2({{kCn, 1, 3, 1, 1, 16},
                            {kEr, 1, 3, 2, 4, 24},
                            {kEr, 1, 3, 2, 4, 32},
                            {kIr, 1, 3, 2, 4, 48, 0.25},
                            {kIr, 1, 3, 2, 4, 64, 0.25}},
                           24);
  d.shrink = 0;
  d.head = 256;
  d.norm.kind = norm;
  return d;
}

Variant variant(const std::string& name, int64_t size, const Preprocessing& preprocessing,
                const MobileDescription& description) {
  Variant v = mobile_variant(name, "efficientnet", description);
  v.input = {3, size, size};
  v.preprocessing = preprocessing;
  return v;
}

}  // namespace

std::vector<MobileStage> efficientnet_stages() {
  return {{kDs, 1, 3, 1, 1, 16, 0.25},  {kIr, 2, 3, 2, 6, 24, 0.25},  {kIr, 2, 5, 2, 6, 40, 0.25},
          {kIr, 3, 3, 2, 6, 80, 0.25},  {kIr, 3, 5, 1, 6, 112, 0.25}, {kIr, 4, 5, 2, 6, 192, 0.25},
          {kIr, 1, 3, 1, 6, 320, 0.25}};
}

std::vector<Variant> efficientnet() {
  MobileDescription blurred = v1(kB[0]);
  blurred.blur = true;
  MobileDescription with_context = v2_small(0.8, {0.9});
  with_context.global_context = true;
  const auto imagenet = [](double crop) { return imagenet_preprocessing(crop); };
  const auto half = [](double crop, const char* interpolation = "bicubic") {
    Preprocessing preprocessing = half_preprocessing(crop);
    preprocessing.interpolation = interpolation;
    return preprocessing;
  };
  const auto tf = [](const MobileDescription& d) { return tensorflow(d); };
  return {
      variant("efficientnet_b0", 224, imagenet(0.875), v1(kB[0])),
      variant("efficientnet_b1", 240, half(0.9), v1(kB[1])),
      variant("efficientnet_b2", 256, imagenet(0.875), v1(kB[2])),
      variant("efficientnet_b3", 288, imagenet(0.875), v1(kB[3])),
      variant("efficientnet_b4", 320, imagenet(0.875), v1(kB[4])),
      variant("efficientnet_b5", 448, imagenet(1), v1(kB[5])),
      variant("efficientnet_b6", 528, imagenet(0.942), v1(kB[6])),
      variant("efficientnet_b7", 600, imagenet(0.949), v1(kB[7])),
      variant("efficientnet_b8", 672, imagenet(0.954), v1(kB[8])),
      variant("efficientnet_l2", 800, imagenet(0.961), v1(kL2)),
      variant("efficientnet_b0_gn", 224, imagenet(0.875), grouped(v1(kB[0]), Norm::kGroup, 8, 1)),
      variant("efficientnet_b0_g8_gn", 224, imagenet(0.875),
              grouped(v1(kB[0]), Norm::kGroup, 8, 8)),
      // Batch norm, whatever its name says.
      variant("efficientnet_b0_g16_evos", 224, imagenet(0.875),
              grouped(v1(kB[0], 16), Norm::kBatch, 1, 16)),
      variant("efficientnet_b3_gn", 288, imagenet(1), grouped(v1(kB[3], 16), Norm::kGroup, 16, 1)),
      variant("efficientnet_b3_g8_gn", 288, imagenet(1),
              grouped(v1(kB[3], 16), Norm::kGroup, 16, 8)),
      variant("efficientnet_blur_b0", 224, imagenet(0.875), blurred),
      variant("efficientnet_x_b3", 288, imagenet(0.95), accelerated(1.2, 1.4, 6)),
      variant("efficientnet_x_b5", 448, imagenet(1), accelerated(1.6, 2.2, 6)),
      variant("efficientnet_h_b5", 448, imagenet(1), accelerated(1.92, 2.2, 4)),
      variant("efficientnet_es", 224, imagenet(0.875), edge(kB[0])),
      variant("efficientnet_es_pruned", 224, imagenet(0.875), edge(kB[0])),
      variant("efficientnet_em", 240, imagenet(0.882), edge(kB[1])),
      variant("efficientnet_el", 300, imagenet(0.904), edge(kB[3])),
      variant("efficientnet_el_pruned", 300, imagenet(0.904), edge(kB[3])),
      variant("efficientnet_lite0", 224, imagenet(0.875), lite(kB[0])),
      variant("efficientnet_lite1", 240, imagenet(0.882), lite(kB[1])),
      variant("efficientnet_lite2", 260, imagenet(0.89), lite(kB[2])),
      variant("efficientnet_lite3", 300, imagenet(0.904), lite(kB[3])),
      variant("efficientnet_lite4", 380, imagenet(0.922), lite(kB[4])),
      variant("efficientnetv2_rw_t", 224, imagenet(1), v2_small(0.8, {0.9})),
      variant("gc_efficientnetv2_rw_t", 224, imagenet(1), with_context),
      variant("efficientnetv2_rw_s", 288, imagenet(1), v2_rw(1, {1})),
      variant("efficientnetv2_rw_m", 320, imagenet(1), v2_rw(1.2, {1.2, 1.2, 1.2, 1.2, 1.6})),
      variant("efficientnetv2_s", 288, imagenet(1), v2_small()),
      variant("efficientnetv2_m", 320, imagenet(1), v2_medium()),
      variant("efficientnetv2_l", 384, imagenet(1), v2_large()),
      variant("efficientnetv2_xl", 384, imagenet(1), v2_xlarge()),
      variant("tf_efficientnet_b0", 224, imagenet(0.875), tf(v1(kB[0]))),
      variant("tf_efficientnet_b1", 240, imagenet(0.882), tf(v1(kB[1]))),
      variant("tf_efficientnet_b2", 260, imagenet(0.89), tf(v1(kB[2]))),
      variant("tf_efficientnet_b3", 300, imagenet(0.904), tf(v1(kB[3]))),
      variant("tf_efficientnet_b4", 380, imagenet(0.922), tf(v1(kB[4]))),
      variant("tf_efficientnet_b5", 456, imagenet(0.934), tf(v1(kB[5]))),
      variant("tf_efficientnet_b6", 528, imagenet(0.942), tf(v1(kB[6]))),
      variant("tf_efficientnet_b7", 600, imagenet(0.949), tf(v1(kB[7]))),
      variant("tf_efficientnet_b8", 672, half(0.954), tf(v1(kB[8]))),
      variant("tf_efficientnet_l2", 475, imagenet(0.936), tf(v1(kL2))),
      variant("tf_efficientnet_es", 224, half(0.875), tf(edge(kB[0]))),
      variant("tf_efficientnet_em", 240, half(0.882), tf(edge(kB[1]))),
      variant("tf_efficientnet_el", 300, half(0.904), tf(edge(kB[3]))),
      variant("tf_efficientnet_lite0", 224, half(0.875), tf(lite(kB[0]))),
      variant("tf_efficientnet_lite1", 240, half(0.882), tf(lite(kB[1]))),
      variant("tf_efficientnet_lite2", 260, half(0.89), tf(lite(kB[2]))),
      variant("tf_efficientnet_lite3", 300, half(0.904, "bilinear"), tf(lite(kB[3]))),
      variant("tf_efficientnet_lite4", 380, half(0.92, "bilinear"), tf(lite(kB[4]))),
      variant("tf_efficientnetv2_b0", 192, imagenet(0.875), tf(v2_base(kB[0]))),
      variant("tf_efficientnetv2_b1", 192, imagenet(0.882), tf(v2_base(kB[1]))),
      variant("tf_efficientnetv2_b2", 208, imagenet(0.89), tf(v2_base(kB[2]))),
      variant("tf_efficientnetv2_b3", 240, half(0.9), tf(v2_base(kB[3]))),
      variant("tf_efficientnetv2_s", 300, half(1), tf(v2_small())),
      variant("tf_efficientnetv2_m", 384, half(1), tf(v2_medium())),
      variant("tf_efficientnetv2_l", 384, half(1), tf(v2_large())),
      variant("tf_efficientnetv2_xl", 384, half(1), tf(v2_xlarge())),
      variant("test_efficientnet", 160, imagenet(0.95), tiny(Norm::kBatch)),
      variant("test_efficientnet_gn", 160, half(0.95), tiny(Norm::kGroup)),
      variant("test_efficientnet_ln", 160, imagenet(0.95), tiny(Norm::kLayer)),
  };
}

}  // namespace kintsugi::zoo::families

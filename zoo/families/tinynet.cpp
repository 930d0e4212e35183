// TinyNet: EfficientNet-B0 shrunk in resolution and depth first, in width last.
// https://arxiv.org/abs/2010.14819.
#include "kintsugi/zoo/families/families.h"
#include "kintsugi/zoo/families/mobile.h"

namespace kintsugi::zoo::families {

namespace {

Variant variant(const std::string& name, double width, double depth, int64_t size) {
  Variant v = mobile_variant(name, "tinynet",
                             {.stages = efficientnet_stages(),
                              .act = nn::Act::kSilu,
                              .width = width,
                              .depths = {depth},
                              .round_depths = true,
                              .fixed_stem = true});
  v.input = {3, size, size};
  return v;
}

}  // namespace

std::vector<Variant> tinynet() {
  return {
      variant("tinynet_a", 1, 1.2, 192),       variant("tinynet_b", 0.75, 1.1, 188),
      variant("tinynet_c", 0.54, 0.85, 184),   variant("tinynet_d", 0.54, 0.695, 152),
      variant("tinynet_e", 0.51, 0.6, 106),
  };
}

}  // namespace kintsugi::zoo::families

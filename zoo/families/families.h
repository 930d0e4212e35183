// One line a family: its variants.
#pragma once

#include "kintsugi/zoo/catalog.h"

namespace kintsugi::zoo::families {

std::vector<Variant> resnet();
std::vector<Variant> resnetv2();
std::vector<Variant> regnet();
std::vector<Variant> mobilenet();
std::vector<Variant> efficientnet();
std::vector<Variant> mnasnet();
std::vector<Variant> tinynet();
std::vector<Variant> lcnet();
std::vector<Variant> fbnet();
std::vector<Variant> densenet();
std::vector<Variant> vgg();
std::vector<Variant> vit();
std::vector<Variant> metaformer();
std::vector<Variant> convnext();
std::vector<Variant> swin();
std::vector<Variant> mixer();

}  // namespace kintsugi::zoo::families

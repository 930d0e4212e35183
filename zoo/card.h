// A network's card: what its weights are and how images become its input. It travels in the metadata
// of the weights file and in plans.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "kintsugi/engine/core/shape.h"
#include "kintsugi/zoo/catalog.h"

namespace kintsugi::zoo {

struct Card {
  std::string architecture = {};  // a name of the catalog; "" for a reassembled network
  int64_t classes = 0;
  Shape input = {};          // (C,H,W)
  Preprocessing preprocessing = {};
  std::string naming = {};  // whose code the weights come from (BuildOptions::naming), "" for timm's
  std::vector<std::string> labels = {};  // of the classes; may be empty
  std::string licence = {};  // SPDX, "" where unknown
  // How the weights came about, for people: "command", "seed", "epochs", "data", "top1", "hours", ...
  std::map<std::string, std::string> facts = {};
};

// The card of a variant as it stands in the catalog.
Card card_of(const Variant& variant);

// Under the key "kintsugi.card", as JSON. from_metadata: an empty architecture where there is no card;
// kFormat where there is a broken one.
void put_card(std::map<std::string, std::string>& metadata, const Card& card);
Card card_from(const std::map<std::string, std::string>& metadata, const std::string& file);

// Error kFormat, beginning with `where`, for a card that no network can be built or fed by.
void check_card(const Card& card, const std::string& where);

}  // namespace kintsugi::zoo

// The partition as a mixed-integer programme whose integers are the choice of anchors.
#pragma once

#include "kintsugi/solvers/ilp/model.h"
#include "kintsugi/solvers/partition/layout.h"

namespace kintsugi::solvers::partition {

struct Programme {
  ilp::Model model;
  struct Choice {
    size_t set;  // 0 where sets are free
    Anchor anchor;
  };
  std::vector<std::pair<size_t, Choice>> anchors;  // the variables that choose them
};

// Free sets: which anchor serves which block.
Programme free_programme(const Layout& layout);
double free_links(const Layout& layout);

}  // namespace kintsugi::solvers::partition

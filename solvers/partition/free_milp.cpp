// Free sets as a mixed-integer programme: a facility location whose clients are the blocks of the
// partition, themselves to be chosen.
#include <map>

#include "kintsugi/solvers/partition/milp.h"

namespace kintsugi::solvers::partition {

namespace {

using ilp::Row;
using ilp::Variable;

struct FreeBlock {
  Anchor block;
  std::vector<size_t> arcs;  // the flow through it, for each number of blocks before it
};

std::vector<FreeBlock> flow(const Layout& layout, size_t m, ilp::Model& model) {
  const Network& n = layout.network(m);
  std::vector<std::vector<Row>> balance(n.blocks + 1);
  for (size_t b = 0; b <= n.blocks; ++b) {
    balance[b].assign(n.high[b] - n.low[b] + 1, Row{.lower = 0, .upper = 0});
  }
  balance[0][0] = Row{.lower = -1, .upper = -1};
  balance[n.blocks].back() = Row{.lower = 1, .upper = 1};
  std::map<std::pair<size_t, size_t>, FreeBlock> blocks;
  for (size_t b = 0; b < n.blocks; ++b) {
    for (size_t s = n.low[b]; s <= n.high[b]; ++s) {
      const size_t last = std::min(n.high[b + 1], n.last_end[s]);
      for (size_t e = std::max(n.low[b + 1], s + 1); e <= last; ++e) {
        const size_t f = model.add(Variable{.upper = 1});
        balance[b][s - n.low[b]].terms.push_back({f, -1});
        balance[b + 1][e - n.low[b + 1]].terms.push_back({f, 1});
        FreeBlock& block = blocks[{s, e}];
        block.block = {m, s, e};
        block.arcs.push_back(f);
      }
    }
  }
  for (auto& layer : balance) {
    for (Row& row : layer) model.add(std::move(row));
  }
  std::vector<FreeBlock> out;
  for (auto& [ends, block] : blocks) out.push_back(std::move(block));
  return out;
}

}  // namespace

double free_links(const Layout& layout) {
  double blocks = 0;
  for (size_t m = 0; m < layout.models(); ++m) {
    const Network& n = layout.network(m);
    for (size_t e = 1; e <= n.last(); ++e) blocks += double(e - n.first_start[e]);
  }
  return blocks * blocks;
}

Programme free_programme(const Layout& layout) {
  Programme out;
  std::vector<std::vector<FreeBlock>> networks;
  for (size_t m = 0; m < layout.models(); ++m) networks.push_back(flow(layout, m, out.model));
  Row count{.lower = double(layout.sets()), .upper = double(layout.sets())};
  std::vector<std::vector<Row>> served;  // each block of the partition by one anchor
  for (const auto& blocks : networks) {
    served.emplace_back();
    for (const FreeBlock& b : blocks) {
      served.back().push_back(Row{.lower = 0, .upper = 0});
      for (const size_t f : b.arcs) served.back().back().terms.push_back({f, -1});
    }
  }
  for (size_t m = 0; m < networks.size(); ++m) {
    if (!layout.may_anchor(m)) continue;
    for (const FreeBlock& candidate : networks[m]) {
      const Anchor& a = candidate.block;
      const size_t u = out.model.add(Variable{.upper = 1, .integer = true});
      out.anchors.push_back({u, {0, a}});
      count.terms.push_back({u, 1});
      Row chosen{.upper = 0};
      chosen.terms.push_back({u, 1});
      for (const size_t f : candidate.arcs) chosen.terms.push_back({f, -1});
      out.model.add(std::move(chosen));
      for (size_t i = 0; i < networks.size(); ++i) {
        // At most one block of a network holds a given node, so its links to the anchor do not
        // exceed the anchor's choice together.
        std::vector<Row> node(layout.network(i).last(), Row{.upper = 0});
        for (Row& row : node) row.terms.push_back({u, -1});
        for (size_t n = 0; n < networks[i].size(); ++n) {
          const Anchor& b = networks[i][n].block;
          const size_t z = out.model.add(
              Variable{.upper = 1, .objective = layout.block_similarity(i, b.in, b.out, a)});
          served[i][n].terms.push_back({z, 1});
          for (size_t p = b.in; p < b.out; ++p) node[p].terms.push_back({z, 1});
          if (!(b == a)) continue;
          Row itself{.lower = 0};  // an anchor serves itself
          itself.terms.push_back({z, 1});
          itself.terms.push_back({u, -1});
          out.model.add(std::move(itself));
        }
        for (Row& row : node) out.model.add(std::move(row));
      }
    }
  }
  for (auto& rows : served) {
    for (Row& row : rows) out.model.add(std::move(row));
  }
  out.model.add(std::move(count));
  for (const size_t m : layout.forced()) {
    Row row{.lower = 1};
    for (const auto& [variable, choice] : out.anchors) {
      if (choice.anchor.model == m) row.terms.push_back({variable, 1});
    }
    out.model.add(std::move(row));
  }
  return out;
}

}  // namespace kintsugi::solvers::partition

// Partition and reassembly at once: networks made of runs of nodes of any networks of a zoo, with a
// few stitches, that no other beats (solvers/stitch_graph.h).
//
// The objective of a network is the quality of its nodes less what its stitches lose. A network's
// quality q is spread over its depth: at relative depth d (node p of L: p / L) every step of 1 / L
// counts q / L. A stitch from depth d of one network to depth e of another counts s - 1, s the
// similarity of the two positions, and (e - d) times the mean of both qualities for what it leaves
// out or repeats. So a whole network is worth its q, and a stitched one the mean of its sources'
// over its depth, less the dissimilarity at its seams.
#pragma once

#include <map>

#include "kintsugi/solvers/stitch_graph.h"
#include "kintsugi/zoo/assemble.h"
#include "kintsugi/zoo/files/similarity_file.h"

namespace kintsugi::zoo {

struct StitchGraphOptions {
  std::vector<std::string> costs = {"params", "macs"};  // of the front: "params", "macs", "bytes"
  std::map<std::string, double> budgets = {};           // of costs; one of them joins the front
  int64_t max_stitches = 3, min_stitches = 0;
  double depth_slack = 0.10;
  bool grids_before_tokens = false;
  std::vector<std::string> licences = {};  // allowed; empty: any
  std::vector<std::string> forbid = {};    // networks
  // By network, what it is worth whole: a top-1 between 0 and 1, say. Others: the "top1" of their
  // weights' card; where not every network has one, all are worth 0 and only stitches count.
  std::map<std::string, double> quality = {};
  nn::StitchForm form = nn::StitchForm::kLinear;
  bool fresh_head = false;
  int64_t classes = 0;
};

struct StitchGraph {
  solvers::StitchGraphResult result;
  std::map<std::string, double> quality;  // that counted
  std::vector<PlanFile> plans;            // one for each network of the front, in its order
};
StitchGraph stitch_graph(const SimilarityFile& similarity, const StitchGraphOptions& options,
                         const solvers::Control& control = {});

}  // namespace kintsugi::zoo

// What the demo finds out: its table, its JSON and its page all read this.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "kintsugi/zoo/assemble.h"
#include "kintsugi/zoo/files/partition_file.h"
#include "kintsugi/zoo/files/plan_file.h"
#include "kintsugi/zoo/files/similarity_file.h"

namespace kintsugi::apps {

struct Findings {
  struct Member {
    std::string name, family;
    int64_t params = 0, macs = 0;
    double top1 = 0;  // percent, as shipped
    std::string weights;
  };
  std::vector<Member> zoo;

  zoo::SimilarityFile similarity;
  double similarity_seconds = 0;
  zoo::PartitionFile partition;

  zoo::PlanFile plan;
  std::string status;  // of the reassembly
  std::string reason;  // where it is infeasible
  double reassembly_seconds = 0;
  int64_t max_params = 0, max_macs = 0;
  std::vector<double> stitch_r2;  // of the least-squares fits

  std::string proxy;  // that scored the candidates
  // The best plans by objective, the chosen one first where it was chosen by objective.
  struct Candidate {
    std::string blocks;
    double objective = 0, score = 0;
    int64_t params = 0, macs = 0;
    bool chosen = false;
  };
  std::vector<Candidate> candidates;

  // Top-1 in percent. Every trained one has seen the same images for the same number of epochs.
  double stitched = 0, freeze = 0, full = 0, scratch = 0;
  struct Best {  // of the zoo, within the budget
    std::string name;
    double shipped = 0, finetuned = 0;
  };
  std::optional<Best> best_member;  // none: no member fits the budget

  std::string data;  // "IDX, fashion-mnist"
  int64_t epochs = 0, train_images = 0, test_images = 0;
  double seconds = 0;
};

// One sentence a line: what was made, what it reaches, and who wins.
std::vector<std::string> conclusions(const Findings& findings);

// "resnet_nano 1-3 | vit_nano 4-6"
std::string blocks_text(const zoo::PlanFile& plan);

}  // namespace kintsugi::apps

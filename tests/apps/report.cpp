// The demo's page from made-up findings.
#include "kintsugi/apps/report/report.h"

#include "kintsugi/apps/report/svg.h"
#include "tests/apps/run.h"

using namespace kintsugi;
using apps::Findings;

namespace {

zoo::DissectedModel model_of(const std::string& name, int64_t nodes) {
  zoo::DissectedModel model;
  model.name = name;
  for (int64_t i = 0; i < nodes; ++i) {
    model.nodes.push_back("stage." + std::to_string(i));
    model.costs.push_back({1000 * (i + 1), 100'000 * (i + 1)});
    model.in.push_back(nn::FeatureShape::grid(16, 14, 14));
    model.out.push_back(nn::FeatureShape::grid(16, 14, 14));
  }
  return model;
}

Findings made_up() {
  Findings f;
  const std::vector<std::string> names{"alpha_nano", "beta<&>nano", "gamma_nano"};
  for (size_t m = 0; m < names.size(); ++m) {
    f.zoo.push_back({names[m], "family" + std::to_string(m), int64_t(200'000 * (m + 1)),
                     int64_t(9'000'000 * (m + 1)), 90.0 + double(m), "w.safetensors"});
    f.similarity.models.push_back(model_of(names[m], int64_t(4 + m)));
  }
  f.similarity.images = 1024;
  f.similarity.similarity = solvers::Matrix(18, 18);
  for (size_t r = 0; r < 18; ++r) {
    for (size_t c = 0; c < 18; ++c) {
      f.similarity.similarity(r, c) = r == c ? 1 : 1 / (1 + std::abs(double(r) - double(c)));
    }
  }
  f.partition.k = 2;
  f.partition.models = f.similarity.models;
  f.partition.cuts = {{2}, {2}, {3}};
  f.partition.heuristic = zoo::PartitionFile::Heuristic{9.5, 0.1};
  f.partition.objective = f.partition.bound = 10;
  f.partition.sets.resize(2);
  for (size_t k = 0; k < 2; ++k) {
    for (size_t m = 0; m < names.size(); ++m) {
      const int64_t cut = f.partition.cuts[m][0], nodes = int64_t(4 + m);
      f.partition.sets[k].blocks.push_back({names[m], k == 0 ? 1 : cut + 1, k == 0 ? cut : nodes});
      f.partition.sets[k].similarity.push_back(1.5);
    }
    f.partition.sets[k].anchor = f.partition.sets[k].blocks[k];
  }
  f.plan.blocks.resize(2);
  for (size_t k = 0; k < 2; ++k) {
    f.plan.blocks[k].model = names[k];
    f.plan.blocks[k].first = f.partition.sets[k].blocks[k].first;
    f.plan.blocks[k].last = f.partition.sets[k].blocks[k].last;
  }
  f.plan.stem.part = f.plan.blocks[0];
  f.plan.stitches = {{"grid2grid", "linear", nn::FeatureShape::grid(16, 14, 14),
                      nn::FeatureShape::grid(16, 14, 14), 1}};
  f.plan.params = 310'000;
  f.plan.macs = 12'000'000;
  f.plan.objective = f.plan.bound = 4.2;
  f.status = "optimal";
  f.max_params = 400'000;
  f.max_macs = 18'000'000;
  f.stitch_r2 = {0.9};
  f.proxy = "naswot";
  f.candidates = {{"alpha_nano 1-2 | beta<&>nano 3-5", 4.2, 3.1, 310'000, 12'000'000, true},
                  {"gamma_nano 1-3 | beta<&>nano 3-5", 4.0, 3.3, 300'000, 11'000'000, false}};
  f.stitched = 41;
  f.freeze = 88;
  f.full = 91.5;
  f.scratch = 83;
  f.best_member = Findings::Best{"beta<&>nano", 91, 90.75};
  f.data = "IDX images";
  f.epochs = 2;
  f.train_images = 8000;
  f.test_images = 2000;
  f.seconds = 151;
  return f;
}

size_t times(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

// Every element that is opened is closed, in order. Void elements and comments aside.
bool well_formed(const std::string& html) {
  std::vector<std::string> open;
  for (size_t at = html.find('<'); at != std::string::npos; at = html.find('<', at + 1)) {
    const size_t end = html.find('>', at);
    if (end == std::string::npos) return false;
    const std::string tag = html.substr(at + 1, end - at - 1);
    if (tag[0] == '!' || tag.back() == '/' || tag.rfind("meta", 0) == 0) continue;
    const std::string name = tag.substr(0, tag.find(' '));
    if (name[0] != '/') {
      open.push_back(name);
    } else if (open.empty() || open.back() != name.substr(1)) {
      return false;
    } else {
      open.pop_back();
    }
  }
  return open.empty();
}

}  // namespace

TEST_CASE("report: one page with everything in it") {
  const std::string html = apps::report_html(made_up());
  CHECK(well_formed(html));
  for (const char* forbidden :
       {"http://", "https://", "src=", "<script", "<link", "@import", "url("}) {
    CAPTURE(forbidden);
    CHECK(html.find(forbidden) == std::string::npos);
  }
  CHECK(times(html, "<svg") == 5);
  CHECK(times(html, "</svg>") == 5);
  CHECK(times(html, " / ") >= 18 * 19 / 2);  // a tooltip for each pair of positions
  CHECK(html.find("beta<&>nano") == std::string::npos);
  CHECK(html.find("beta&lt;&amp;&gt;nano") != std::string::npos);
  CHECK(html.find("nan") == html.find("nano"));  // no figure is NaN
  for (const char* figure : {"91.50 %", "88.00 %", "41.00 %", "83.00 %", "90.75 %", "310.0 k"}) {
    CAPTURE(figure);
    CHECK(html.find(figure) != std::string::npos);
  }
  if (const char* path = std::getenv("KINTSUGI_REPORT_OUT")) std::ofstream(path) << html;
}

TEST_CASE("report: whoever wins is said to win") {
  Findings f = made_up();
  CHECK(apps::conclusions(f).back().rfind("The reassembled network wins by 0.50 points", 0) == 0);
  f.best_member->finetuned = 92.25;
  CHECK(apps::conclusions(f).back().rfind("The zoo member wins", 0) == 0);
  CHECK(apps::conclusions(f).back().find("0.75 points") != std::string::npos);
  // A member that is better untouched than fine-tuned counts as it was shipped.
  f.best_member->finetuned = 80;
  f.best_member->shipped = 93;
  CHECK(apps::conclusions(f).back().rfind("The zoo member wins", 0) == 0);
  f.best_member.reset();
  CHECK(apps::conclusions(f).back().find("No single network") != std::string::npos);
  CHECK(well_formed(apps::report_html(f)));
}

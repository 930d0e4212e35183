#include "kintsugi/apps/report/report.h"

#include <algorithm>
#include <sstream>

#include "kintsugi/apps/progress.h"
#include "kintsugi/apps/report/style.h"
#include "kintsugi/apps/report/svg.h"
#include "kintsugi/apps/text.h"
#include "kintsugi/zoo/proxies/proxies.h"

namespace kintsugi::apps {

namespace {

struct Row {
  std::vector<std::string> cells;
  std::string css_class = "";
};

std::string html_table(const std::vector<std::string>& header, const std::vector<Row>& rows,
                       size_t words_column = 0) {
  std::ostringstream out;
  const auto cell = [&](const char* tag, size_t column, const std::string& text) {
    out << "<" << tag << (column > 0 && column == words_column ? " class=\"words\">" : ">")
        << escape(text) << "</" << tag << ">";
  };
  out << "<div class=\"panel\"><table><thead><tr>";
  for (size_t c = 0; c < header.size(); ++c) cell("th", c, header[c]);
  out << "</tr></thead><tbody>\n";
  for (const Row& row : rows) {
    out << "<tr" << (row.css_class.empty() ? "" : " class=\"" + row.css_class + "\"") << ">";
    for (size_t c = 0; c < row.cells.size(); ++c) cell("td", c, row.cells[c]);
    out << "</tr>\n";
  }
  out << "</tbody></table></div>\n";
  return out.str();
}

std::string percent(double value) {
  return fixed(value, 2) + " %";
}

std::string figure(const std::string& number, const std::string& words) {
  return "<div class=\"figure\"><b>" + escape(number) + "</b><span>" + escape(words) +
         "</span></div>\n";
}

std::string zoo_table(const Findings& f) {
  std::vector<Row> rows;
  for (const Findings::Member& m : f.zoo) {
    const bool fits = m.params <= f.max_params && m.macs <= f.max_macs;
    rows.push_back(
        {{m.name, m.family, count(m.params), count(m.macs), percent(m.top1), fits ? "yes" : "no"}});
  }
  return html_table({"network", "family", "parameters", "MACs", "top-1", "fits the budget"}, rows,
                    1);
}

std::string accuracy_table(const Findings& f) {
  const std::string epochs = std::to_string(f.epochs);
  std::vector<Row> rows{{{"reassembled: stitches fitted, nothing trained", count(f.plan.params),
                          count(f.plan.macs), "0", percent(f.stitched)},
                         "ours"},
                        {{"reassembled: stitches and head trained", count(f.plan.params),
                          count(f.plan.macs), epochs, percent(f.freeze)},
                         "ours"},
                        {{"reassembled: everything trained", count(f.plan.params),
                          count(f.plan.macs), epochs, percent(f.full)},
                         "ours"},
                        {{"the same architecture from random weights", count(f.plan.params),
                          count(f.plan.macs), epochs, percent(f.scratch)}}};
  std::vector<double> values{f.stitched, f.freeze, f.full, f.scratch};
  if (f.best_member) {
    for (const Findings::Member& m : f.zoo) {
      if (m.name != f.best_member->name) continue;
      rows.push_back({{"best zoo member within the budget, " + m.name + ", as shipped",
                       count(m.params), count(m.macs), "0", percent(f.best_member->shipped)}});
      rows.push_back({{m.name + ", fine-tuned as long", count(m.params), count(m.macs), epochs,
                       percent(f.best_member->finetuned)}});
      values.push_back(f.best_member->shipped);
      values.push_back(f.best_member->finetuned);
    }
  }
  const double best = *std::max_element(values.begin(), values.end());
  for (size_t i = 0; i < rows.size(); ++i) {
    if (values[i] == best) rows[i].css_class += " wins";
  }
  return html_table({"network", "parameters", "MACs", "epochs here", "top-1"}, rows);
}

std::string solver_table(const Findings& f) {
  const auto gap = [](double value) { return fixed(100 * value, 3) + " %"; };
  std::vector<Row> rows{{{"partition into " + std::to_string(f.partition.k) + " sets, exact",
                          fixed(f.partition.objective, 4), fixed(f.partition.bound, 4),
                          gap(f.partition.gap), fixed(f.partition.seconds, 3) + " s"}}};
  if (f.partition.heuristic) {
    rows.push_back(
        {{"the same by the paper's swap heuristic", fixed(f.partition.heuristic->objective, 4),
          "none", "unknown", fixed(f.partition.heuristic->seconds, 3) + " s"}});
  }
  rows.push_back({{"reassembly, " + f.status, fixed(f.plan.objective, 4), fixed(f.plan.bound, 4),
                   gap(f.plan.gap), fixed(f.reassembly_seconds, 3) + " s"}});
  return html_table({"problem", "objective", "proven bound", "gap", "time"}, rows);
}

std::string candidate_table(const Findings& f) {
  std::vector<Row> rows;
  for (const Findings::Candidate& c : f.candidates) {
    rows.push_back(
        {{c.blocks, fixed(c.objective, 4), fixed(c.score, 3), count(c.params), count(c.macs)},
         c.chosen ? "ours wins" : ""});
  }
  return html_table({"blocks", "similarity", f.proxy, "parameters", "MACs"}, rows);
}

std::string fit_text(const Findings& f) {
  if (f.stitch_r2.empty()) return "";
  std::string text = "<p class=\"note\">Share of variance that the fitted stitches explain (R²): ";
  for (size_t i = 0; i < f.stitch_r2.size(); ++i) {
    text += (i ? ", " : "") + fixed(f.stitch_r2[i], 3);
  }
  return text + ".</p>\n";
}

}  // namespace

std::string report_html(const Findings& f) {
  const std::vector<std::string> sentences = conclusions(f);
  std::ostringstream out;
  out << "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
         "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"
         "<title>kintsugi: a zoo taken apart and put back together</title>\n<style>"
      << kStyle << "</style></head>\n<body><main>\n<header><h1>A zoo taken apart and put back "
      << "together</h1>\n<div class=\"sub\">kintsugi demo · " << escape(f.data) << " · "
      << f.train_images << " training and " << f.test_images << " test images · " << f.epochs
      << (f.epochs == 1 ? " epoch" : " epochs") << " · " << duration(f.seconds)
      << "</div></header>\n<section class=\"lead\">\n";
  for (size_t i = 0; i < sentences.size(); ++i) {
    out << (i + 1 == sentences.size() ? "<p class=\"verdict\">" : "<p>") << escape(sentences[i])
        << "</p>\n";
  }
  out << "</section>\n<div class=\"figures\">\n"
      << figure(percent(f.full), "reassembled, everything trained")
      << figure(percent(f.freeze), "reassembled, stitches and head trained")
      << figure(percent(f.stitched), "stitched, untrained")
      << figure(percent(f.scratch), "same architecture, random start");
  if (f.best_member) {
    out << figure(percent(std::max(f.best_member->finetuned, f.best_member->shipped)),
                  "best zoo member within the budget");
  }
  out << figure(count(f.plan.params), "parameters of at most " + count(f.max_params))
      << figure(count(f.plan.macs), "MACs of at most " + count(f.max_macs)) << "</div>\n"

      << "<h2>The reassembled network</h2>\n<div class=\"panel\">"
      << plan_strip(f.plan, f.partition) << "</div>\n"
      << fit_text(f)

      << "<h2>Accuracy against cost</h2>\n<div class=\"panel pair\"><div>"
      << scatter(f, CostAxis::kParams) << "</div><div>" << scatter(f, CostAxis::kMacs)
      << "</div></div>\n<p class=\"note\">Circles: the zoo as shipped (hollow: fine-tuned here). "
         "Diamonds: the reassembled architecture (hollow: from random weights). ▼ marks a figure "
         "below the axis.</p>\n"

      << "<h2>Honest baselines</h2>\n<p>Every trained row has seen the same " << f.train_images
      << " images for the same " << f.epochs << (f.epochs == 1 ? " epoch" : " epochs")
      << ", and fits the same budget; training everything starts from the fitted stitches, not "
         "from "
         "the row above it. The zoo's own weights were trained longer, on the full training set, "
         "before this run. The star marks the best figure.</p>\n"
      << accuracy_table(f)

      << "<h2>The zoo</h2>\n"
      << zoo_table(f)

      << "<h2>Similarity of all positions</h2>\n<div class=\"panel\">"
      << heat_map(f.similarity, f.partition)
      << "</div>\n<p class=\"note\">Linear CKA (Kornblith et al. 2019) on " << f.similarity.images
      << " images, " << fixed(f.similarity_seconds, 1)
      << " s. Within a network, positions run from the stem's output to the last block's. Gold "
         "ticks: where the partition cuts. Point at a cell above the diagonal to read it.</p>\n"

      << "<h2>Where each network was cut</h2>\n<div class=\"panel\">" << cut_strips(f.partition)
      << "</div>\n<p class=\"note\">A cell is an atomic node. The framed block is the anchor that "
         "its set was gathered around.</p>\n"

      << "<h2>What the solvers prove</h2>\n"
      << solver_table(f);
  if (f.candidates.size() > 1) {
    out << "<h2>The best plans within the budget</h2>\n"
        << candidate_table(f)
        << "<p class=\"note\">" << f.proxy << " (" << zoo::find_proxy(f.proxy).source
        << ") scores the stitched networks without training. The star marks the plan that was "
           "built.</p>\n";
  }
  out << "<footer>Made by <code>kintsugi demo</code>. Method: Yang et al., Deep Model Reassembly, "
         "NeurIPS 2022.</footer>\n</main></body></html>\n";
  return out.str();
}

}  // namespace kintsugi::apps

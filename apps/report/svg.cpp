#include "kintsugi/apps/report/svg.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <sstream>

#include "kintsugi/apps/text.h"

namespace kintsugi::apps {

std::string escape(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '&') {
      out += "&amp;";
    } else if (c == '<') {
      out += "&lt;";
    } else if (c == '>') {
      out += "&gt;";
    } else if (c == '"') {
      out += "&quot;";
    } else {
      out += c;
    }
  }
  return out;
}

namespace {

// An SVG under construction. Lengths are in the units of its view box, which are pixels at most.
class Svg {
 public:
  Svg(double width, double height, const std::string& label) {
    out_.precision(5);
    out_ << "<svg viewBox=\"0 0 " << width << " " << height << "\" style=\"max-width:" << width
         << "px\" role=\"img\" aria-label=\"" << escape(label) << "\">\n";
  }
  // `style` goes into the style attribute; a title becomes the tooltip.
  void rect(double x, double y, double w, double h, const std::string& style,
            const std::string& title = "", double radius = 0) {
    out_ << "<rect x=\"" << x << "\" y=\"" << y << "\" width=\"" << w << "\" height=\"" << h
         << "\"";
    if (radius > 0) out_ << " rx=\"" << radius << "\"";
    out_ << " style=\"" << style << "\"";
    close("rect", title);
  }
  void line(double x1, double y1, double x2, double y2, const std::string& style) {
    out_ << "<line x1=\"" << x1 << "\" y1=\"" << y1 << "\" x2=\"" << x2 << "\" y2=\"" << y2
         << "\" style=\"" << style << "\"/>\n";
  }
  void circle(double x, double y, double r, const std::string& style, const std::string& title) {
    out_ << "<circle cx=\"" << x << "\" cy=\"" << y << "\" r=\"" << r << "\" style=\"" << style
         << "\"";
    close("circle", title);
  }
  void path(const std::string& d, const std::string& style, const std::string& title = "") {
    out_ << "<path d=\"" << d << "\" style=\"" << style << "\"";
    close("path", title);
  }
  // anchor: "start", "middle", "end".
  void text(double x, double y, const std::string& words, const std::string& anchor = "start",
            const std::string& css_class = "", double turn = 0) {
    out_ << "<text x=\"" << x << "\" y=\"" << y << "\" text-anchor=\"" << anchor << "\"";
    if (!css_class.empty()) out_ << " class=\"" << css_class << "\"";
    if (turn != 0) out_ << " transform=\"rotate(" << turn << " " << x << " " << y << ")\"";
    out_ << ">" << escape(words) << "</text>\n";
  }
  std::string str() const { return out_.str() + "</svg>\n"; }

 private:
  void close(const char* tag, const std::string& title) {
    if (title.empty()) {
      out_ << "/>\n";
    } else {
      out_ << "><title>" << escape(title) << "</title></" << tag << ">\n";
    }
  }
  std::ostringstream out_;
};

// A perceptual ramp from dark violet over teal to yellow (samples of matplotlib's viridis, CC0).
std::string ramp(double value) {
  static constexpr std::array<std::array<int, 3>, 9> kStops{{{68, 1, 84},
                                                             {71, 44, 122},
                                                             {59, 81, 139},
                                                             {44, 113, 142},
                                                             {33, 144, 141},
                                                             {39, 173, 129},
                                                             {92, 200, 99},
                                                             {170, 220, 50},
                                                             {253, 231, 37}}};
  const double at = std::clamp(value, 0.0, 1.0) * double(kStops.size() - 1);
  const size_t low = std::min(size_t(at), kStops.size() - 2);
  const double t = at - double(low);
  char text[16];
  const auto mix = [&](size_t c) {
    return int(std::lround(kStops[low][c] * (1 - t) + kStops[low + 1][c] * t));
  };
  std::snprintf(text, sizeof text, "#%02x%02x%02x", mix(0), mix(1), mix(2));
  return text;
}

// Okabe and Ito's palette, which colour-blind readers can tell apart.
std::string set_colour(size_t set) {
  static constexpr const char* kColours[] = {"#56b4e9", "#e69f00", "#009e73", "#cc79a7",
                                             "#0072b2", "#d55e00", "#b3a100", "#7f7f7f"};
  return kColours[set % std::size(kColours)];
}

std::string position_name(const zoo::DissectedModel& model, int64_t position) {
  return position == 0 ? model.name + ", input of " + model.nodes.front()
                       : model.name + ", " + model.nodes[size_t(position - 1)];
}

size_t model_index(const zoo::PartitionFile& partition, const std::string& name) {
  size_t i = 0;
  while (i + 1 < partition.models.size() && partition.models[i].name != name) ++i;
  return i;
}

// Which set (0-based) node `node` (1-based) of model `m` lies in.
size_t set_of(const zoo::PartitionFile& partition, size_t m, int64_t node) {
  for (size_t k = 0; k < partition.sets.size(); ++k) {
    for (const zoo::BlockRange& block : partition.sets[k].blocks) {
      if (block.model == partition.models[m].name && block.first <= node && node <= block.last) {
        return k;
      }
    }
  }
  return partition.sets.size();
}

std::string shape_name(const nn::FeatureShape& shape) {
  return std::to_string(shape.c) + "x" + std::to_string(shape.h) + "x" + std::to_string(shape.w);
}

}  // namespace

std::string heat_map(const zoo::SimilarityFile& file, const zoo::PartitionFile& partition) {
  struct Place {
    size_t model;
    int64_t position;
  };
  std::vector<Place> places;
  std::vector<size_t> base;
  for (size_t m = 0; m < file.models.size(); ++m) {
    base.push_back(places.size());
    for (int64_t p = 0; p < file.models[m].positions(); ++p) places.push_back({m, p});
  }
  base.push_back(places.size());
  const size_t n = places.size();
  const double left = 130, top = 22, side = 620;
  const double cell = side / double(n);
  Svg svg(left + side + 92, top + side + 112, "Similarity of all positions of all networks");
  for (size_t r = 0; r < n; ++r) {
    for (size_t c = 0; c < n; ++c) {
      const double value = file.similarity(r, c);
      // Below the diagonal the tooltip would only repeat: leaving it out halves the page.
      std::string title;
      if (c >= r) {
        title = position_name(file.models[places[r].model], places[r].position) + " / " +
                position_name(file.models[places[c].model], places[c].position) + ": " +
                fixed(value, 3);
      }
      svg.rect(left + double(c) * cell, top + double(r) * cell, cell + 0.3, cell + 0.3,
               "fill:" + ramp(value), title);
    }
  }
  const std::string separator = "stroke:var(--page);stroke-width:2.5";
  const std::string mark = "stroke:var(--gold);stroke-width:2";
  for (size_t m = 0; m < file.models.size(); ++m) {
    const double from = double(base[m]) * cell, to = double(base[m + 1]) * cell;
    if (m > 0) {
      svg.line(left + from, top, left + from, top + side, separator);
      svg.line(left, top + from, left + side, top + from, separator);
    }
    const double middle = (from + to) / 2;
    svg.text(left - 16, top + middle + 4, file.models[m].name, "end");
    svg.text(left + middle + 4, top + side + 20, file.models[m].name, "end", "", -45);
    for (const int64_t cut : partition.cuts[m]) {
      const double at = (double(base[m]) + double(cut) + 0.5) * cell;
      svg.line(left - 11, top + at, left - 2, top + at, mark);
      svg.line(left + at, top - 11, left + at, top - 2, mark);
    }
  }
  const double bar = left + side + 24;
  for (int i = 0; i < 64; ++i) {
    svg.rect(bar, top + side * (63 - i) / 64.0, 16, side / 64 + 0.4, "fill:" + ramp(i / 63.0));
  }
  for (const double value : {0.0, 0.25, 0.5, 0.75, 1.0}) {
    svg.text(bar + 22, top + side * (1 - value) + 4, fixed(value, 2), "start", "quiet");
  }
  svg.text(bar + 8, top - 9, "CKA", "middle", "quiet");
  return svg.str();
}

std::string cut_strips(const zoo::PartitionFile& partition) {
  const double left = 130, width = 640, row = 34, height = 22, top = 26;
  const size_t count_of_models = partition.models.size();
  Svg svg(left + width + 12, top + row * double(count_of_models) + 8, "Where each network was cut");
  for (size_t k = 0; k < partition.sets.size(); ++k) {
    const double x = left + double(k) * 84;
    svg.rect(x, 4, 12, 12, "fill:" + set_colour(k), "", 2);
    svg.text(x + 17, 14, "set " + std::to_string(k + 1), "start", "quiet");
  }
  for (size_t m = 0; m < count_of_models; ++m) {
    const zoo::DissectedModel& model = partition.models[m];
    const double y = top + row * double(m), cell = width / double(model.nodes.size());
    svg.text(left - 12, y + 15, model.name, "end");
    for (size_t i = 0; i < model.nodes.size(); ++i) {
      const size_t set = set_of(partition, m, int64_t(i) + 1);
      svg.rect(left + double(i) * cell + 0.75, y, cell - 1.5, height, "fill:" + set_colour(set),
               model.nodes[i] + ", set " + std::to_string(set + 1) + ", " +
                   count(model.costs[i].params) + " parameters, " + count(model.costs[i].macs) +
                   " MACs, " + shape_name(model.in[i]) + " to " + shape_name(model.out[i]),
               3);
    }
    for (const int64_t cut : partition.cuts[m]) {
      const double x = left + double(cut) * cell;
      svg.line(x, y - 4, x, y + height + 4, "stroke:var(--gold);stroke-width:3");
    }
    for (const zoo::PartitionFile::Set& set : partition.sets) {
      if (set.anchor.model != model.name) continue;
      const double x = left + double(set.anchor.first - 1) * cell;
      const double w = double(set.anchor.last - set.anchor.first + 1) * cell;
      svg.rect(x + 2.5, y + 1.5, w - 5, height - 3, "fill:none;stroke:var(--ink);stroke-width:2",
               "", 2);
      svg.text(x + w / 2, y + 15.5, "anchor", "middle", "onset");
    }
  }
  return svg.str();
}

std::string plan_strip(const zoo::PlanFile& plan, const zoo::PartitionFile& partition) {
  const double block = 148, seam = 62, end = 66, height = 74, top = 30;
  const size_t blocks = plan.blocks.size();
  const double width = 2 * (end + 16) + double(blocks) * block + double(blocks - 1) * seam;
  Svg svg(width, top + height + 46, "The reassembled network");
  const double middle = top + height / 2;
  svg.line(end, middle, width - end, middle, "stroke:var(--rule);stroke-width:3");
  const auto end_box = [&](double x, const std::string& name, const std::string& below) {
    svg.rect(x, top + 12, end, height - 24, "fill:var(--panel);stroke:var(--rule);stroke-width:1.5",
             below, 6);
    svg.text(x + end / 2, middle + 4, name, "middle");
  };
  end_box(0, "stem", plan.stem.part ? "of " + plan.stem.part->model : "fresh");
  end_box(width - end, "head", plan.head ? "of " + plan.head->model : "fresh, linear");
  svg.text(0, top + height + 16, plan.stem.part ? plan.stem.part->model : "fresh", "start",
           "quiet");
  svg.text(width, top + height + 16, plan.head ? plan.head->model : "fresh", "end", "quiet");
  double x = end + 16;
  for (size_t k = 0; k < blocks; ++k) {
    const zoo::PlanFile::Block& chosen = plan.blocks[k];
    const size_t m = model_index(partition, chosen.model);
    const zoo::DissectedModel& model = partition.models[m];
    nn::Cost cost;
    std::string title = chosen.model + ":";
    for (int64_t node = chosen.first; node <= chosen.last; ++node) {
      cost.params += model.costs[size_t(node - 1)].params;
      cost.macs += model.costs[size_t(node - 1)].macs;
      title += " " + model.nodes[size_t(node - 1)];
    }
    svg.rect(x, top, block, height, "fill:" + set_colour(k), title, 8);
    svg.text(x + block / 2, top + 24, chosen.model, "middle", "onset strong");
    svg.text(x + block / 2, top + 43,
             "nodes " + std::to_string(chosen.first) + "-" + std::to_string(chosen.last), "middle",
             "onset");
    svg.text(x + block / 2, top + 60, count(cost.params) + " · " + count(cost.macs) + " MACs",
             "middle", "onset");
    svg.text(x + block / 2, top - 10, "set " + std::to_string(k + 1), "middle", "quiet");
    x += block;
    if (k + 1 == blocks) break;
    const zoo::PlanFile::Stitch& stitch = plan.stitches[k];
    if (stitch.none()) {  // whole, where the two have always been one
      svg.text(x + seam / 2, top + height / 2 + 4, "–", "middle", "quiet");
      x += seam;
      continue;
    }
    const std::string words = stitch.mode + " (" + stitch.form + "), " + shape_name(stitch.in) +
                              " to " + shape_name(stitch.out);
    // The seam: a jagged line of gold across the joint, as in mended pottery.
    const double c = x + seam / 2;
    std::ostringstream d;
    d << "M" << c - 5 << " " << top - 4;
    for (int i = 1; i <= 8; ++i) {
      d << "L" << c + (i % 2 ? 6 : -6) << " " << top - 4 + (height + 8) * i / 8.0;
    }
    svg.path(d.str(), "fill:none;stroke:var(--gold);stroke-width:4;stroke-linejoin:round", words);
    svg.text(c, top + height + 16, stitch.mode.empty() ? "stitch" : stitch.mode, "middle", "quiet");
    svg.text(c, top + height + 32,
             std::to_string(stitch.in.c) + " → " + std::to_string(stitch.out.c), "middle", "quiet");
    x += seam;
  }
  return svg.str();
}

namespace {

struct Point {
  double cost, top1;
  std::string name, style;
  bool diamond;
};

std::vector<Point> points_of(const Findings& f, CostAxis axis) {
  const bool params = axis == CostAxis::kParams;
  std::vector<Point> points;
  for (const Findings::Member& member : f.zoo) {
    points.push_back({double(params ? member.params : member.macs), member.top1, member.name,
                      "fill:var(--zoo)", false});
    if (f.best_member && f.best_member->name == member.name) {
      points.push_back({double(params ? member.params : member.macs), f.best_member->finetuned,
                        member.name + ", tuned",
                        "fill:var(--page);stroke:var(--zoo);stroke-width:2.5", false});
    }
  }
  const double cost = double(params ? f.plan.params : f.plan.macs);
  const std::string own = "fill:var(--gold);stroke:var(--ink);stroke-width:1";
  points.push_back({cost, f.full, "reassembled, full", own, true});
  points.push_back({cost, f.freeze, "reassembled, freeze", own, true});
  points.push_back({cost, f.stitched, "reassembled, stitched", own, true});
  points.push_back({cost, f.scratch, "same, from scratch",
                    "fill:var(--page);stroke:var(--gold);stroke-width:2.5", true});
  return points;
}

}  // namespace

std::string scatter(const Findings& f, CostAxis axis) {
  const std::vector<Point> points = points_of(f, axis);
  const double budget = double(axis == CostAxis::kParams ? f.max_params : f.max_macs);
  const double left = 48, top = 14, width = 380, height = 300, bottom = top + height;
  double low = points[0].cost, high = low, floor = 100, ceiling = 0;
  for (const Point& point : points) {
    low = std::min(low, point.cost);
    high = std::max(high, point.cost);
    ceiling = std::max(ceiling, point.top1);
  }
  for (const Findings::Member& member : f.zoo) floor = std::min(floor, member.top1);
  // One bad point (a stitched network before training) must not flatten all others: what lies under
  // the floor is drawn on it, with its figure.
  floor = std::floor(std::max(0.0, std::min(floor, std::max(f.full, f.freeze)) - 3));
  ceiling = std::min(100.0, std::ceil(ceiling + 0.5));
  if (budget > 0 && budget < 1e15) high = std::max(high, budget);
  low /= 1.35;
  high *= 1.9;
  const auto x_of = [&](double cost) {
    return left + width * std::log(cost / low) / std::log(high / low);
  };
  const auto y_of = [&](double top1) {
    return bottom - height * (std::max(top1, floor) - floor) / std::max(1e-9, ceiling - floor);
  };
  Svg svg(left + width + 10, bottom + 46,
          axis == CostAxis::kParams ? "Top-1 against parameters" : "Top-1 against MACs");
  const double step = ceiling - floor > 24 ? 5 : ceiling - floor > 8 ? 2 : 1;
  for (double value = std::ceil(floor / step) * step; value <= ceiling + 1e-9; value += step) {
    svg.line(left, y_of(value), left + width, y_of(value), "stroke:var(--rule);stroke-width:1");
    svg.text(left - 7, y_of(value) + 4, fixed(value, 0), "end", "quiet");
  }
  const double decade = std::pow(10.0, std::floor(std::log10(low)));
  for (double base = decade; base <= high; base *= 10) {
    for (const double factor : {1.0, 2.0, 5.0}) {
      const double tick = base * factor;
      if (tick < low || tick > high) continue;
      svg.line(x_of(tick), bottom, x_of(tick), bottom + 5, "stroke:var(--quiet)");
      const std::string label = tick >= 1e9   ? fixed(tick / 1e9, 0) + " G"
                                : tick >= 1e6 ? fixed(tick / 1e6, 0) + " M"
                                : tick >= 1e3 ? fixed(tick / 1e3, 0) + " k"
                                              : fixed(tick, 0);
      svg.text(x_of(tick), bottom + 18, label, "middle", "quiet");
    }
  }
  if (budget >= low && budget <= high) {
    svg.line(x_of(budget), top, x_of(budget), bottom,
             "stroke:var(--ink);stroke-width:1.2;stroke-dasharray:5 4");
    svg.text(x_of(budget) - 4, top + 9, "budget", "end", "quiet");
  }
  svg.text(left + width / 2, bottom + 38,
           axis == CostAxis::kParams ? "parameters" : "MACs of one image", "middle", "quiet");

  struct Label {
    double x, y;
    std::string words;
  };
  std::vector<Label> labels;
  for (const Point& point : points) {
    const double x = x_of(point.cost), y = y_of(point.top1);
    const bool under = point.top1 < floor;
    const std::string title =
        point.name + ": " + fixed(point.top1, 2) + " %, " + count(int64_t(point.cost));
    if (point.diamond) {
      std::ostringstream d;
      d << "M" << x << " " << y - 7 << "l7 7l-7 7l-7 -7z";
      svg.path(d.str(), point.style, title);
    } else {
      svg.circle(x, y, 5.5, point.style, title);
    }
    labels.push_back(
        {x + 10, y + 4, point.name + (under ? " ▼ " + fixed(point.top1, 1) + " %" : "")});
  }
  // Labels that would touch are pushed down; those at the floor then make room upwards.
  std::sort(labels.begin(), labels.end(), [](const Label& a, const Label& b) { return a.y < b.y; });
  constexpr double kLine = 13, kWidth = 6.1;
  const auto touches = [&](const Label& a, const Label& b) {
    return std::abs(a.y - b.y) < kLine && a.x < b.x + kWidth * double(b.words.size()) &&
           b.x < a.x + kWidth * double(a.words.size());
  };
  for (Label& label : labels) {
    const double room = left + width + 8 - label.x;
    if (kWidth * double(label.words.size()) > room) {
      label.x -= 20 + kWidth * double(label.words.size());
    }
  }
  for (int sweep = 0; sweep < 40; ++sweep) {
    for (size_t i = 0; i < labels.size(); ++i) {
      for (size_t j = i + 1; j < labels.size(); ++j) {
        if (!touches(labels[i], labels[j])) continue;
        const double push = (kLine - std::abs(labels[i].y - labels[j].y)) / 2 + 0.1;
        labels[i].y -= push;
        labels[j].y += push;
      }
    }
    for (Label& label : labels) label.y = std::clamp(label.y, top + 8, bottom - 4);
  }
  for (const Label& label : labels) svg.text(label.x, label.y, label.words, "start", "small");
  return svg.str();
}

}  // namespace kintsugi::apps

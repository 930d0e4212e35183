#include "kintsugi/apps/text.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace kintsugi::apps {

std::string fixed(double value, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

std::string count(int64_t value) {
  if (value < 1000) return std::to_string(value);
  const double v = double(value);
  if (v < 1e6) return fixed(v / 1e3, 1) + " k";
  if (v < 1e9) return fixed(v / 1e6, 2) + " M";
  return fixed(v / 1e9, 2) + " G";
}

namespace {

// Columns on a terminal; every character outside ASCII that is printed here is one column wide.
size_t width_of(const std::string& text) {
  return size_t(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

}  // namespace

std::string table(const std::vector<std::vector<std::string>>& rows, bool numeric) {
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], width_of(row[c]));
  }
  std::string text;
  for (const auto& row : rows) {
    std::string line;
    for (size_t c = 0; c < row.size(); ++c) {
      const std::string space(widths[c] - width_of(row[c]), ' ');
      line += (c ? "  " : "") + (numeric && c ? space + row[c] : row[c] + space);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

}  // namespace kintsugi::apps

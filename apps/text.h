// Numbers for people.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace kintsugi::apps {

std::string fixed(double value, int digits);  // "92.31"
std::string count(int64_t value);             // "1.23 M", "456.0 k", "12"

// Rows of cells as aligned columns; the first row is the header. Columns other than the first are
// right-aligned where `numeric`.
std::string table(const std::vector<std::vector<std::string>>& rows, bool numeric = true);

}  // namespace kintsugi::apps

// Features minus their means. Internal to the room.
#pragma once

#include <cstddef>
#include <vector>

namespace kintsugi::solvers::dense {

// (rows, dim) minus the mean of every column: a large mean then costs no digits in a product.
// kNumeric on a NaN or an infinity, naming `position` and the column.
std::vector<float> centred(const float* features, size_t rows, size_t dim, size_t position);

}  // namespace kintsugi::solvers::dense

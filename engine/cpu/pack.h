// Weights between row-major order and panels. Several times as fast as a general reorder, which
// matters where a convolution has few cells and many weights. Never installed.
#pragma once

#include <cstdint>
#include <vector>

namespace kintsugi::cpu {

// Where element (row, column) lies: panel_offset[row / lanes] + column_offset[column] + row %
// lanes, lanes being pack_lanes(). Panels beyond the last row exist as padding and are packed as
// zeros.
struct Panels {
  int64_t rows = 0, columns = 0;
  std::vector<int64_t> panel_offset, column_offset;
};

int pack_lanes();
void pack(const Panels& panels, const float* matrix, float* packed);
void unpack(const Panels& panels, const float* packed, float* matrix);

}  // namespace kintsugi::cpu

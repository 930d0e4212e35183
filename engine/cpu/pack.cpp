#include "kintsugi/engine/cpu/pack.h"

#include "kintsugi/engine/cpu/parallel.h"
#include "kintsugi/engine/cpu/simd/pack.h"

namespace kintsugi::cpu {

namespace {

// body(panel, first row, rows in it, first column, columns) over all panels in pieces.
template <class Body>
void over_pieces(const Panels& p, const Body& body) {
  constexpr int64_t kColumns = 256;
  const int64_t lanes = pack_lanes(), pieces = (p.columns + kColumns - 1) / kColumns;
  parallel_for(int64_t(p.panel_offset.size()) * pieces, 8, [&](int64_t begin, int64_t end) {
    for (int64_t at = begin; at < end; ++at) {
      const int64_t panel = at / pieces, first = at % pieces * kColumns;
      const int64_t rows = std::clamp<int64_t>(p.rows - panel * lanes, 0, lanes);
      body(panel, panel * lanes, rows, first, std::min(kColumns, p.columns - first));
    }
  });
}

}  // namespace

int pack_lanes() {
  return pack_kernels().lanes;
}

void pack(const Panels& p, const float* matrix, float* packed) {
  const PackKernels& kernels = pack_kernels();
  over_pieces(p, [&](int64_t panel, int64_t row, int64_t rows, int64_t column, int64_t columns) {
    // A panel of padding has no row to point to.
    const float* const from = rows > 0 ? matrix + row * p.columns + column : matrix;
    kernels.pack(from, p.columns, rows, columns, packed + p.panel_offset[size_t(panel)],
                 p.column_offset.data() + column);
  });
}

void unpack(const Panels& p, const float* packed, float* matrix) {
  const PackKernels& kernels = pack_kernels();
  over_pieces(p, [&](int64_t panel, int64_t row, int64_t rows, int64_t column, int64_t columns) {
    if (rows == 0) return;
    kernels.unpack(packed + p.panel_offset[size_t(panel)], p.column_offset.data() + column, rows,
                   columns, matrix + row * p.columns + column, p.columns);
  });
}

}  // namespace kintsugi::cpu

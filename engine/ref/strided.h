// A loop over the elements of several tensors of one (broadcast) shape, in the first one's memory
// order, with neighbouring dims merged where all of them allow it.
#pragma once

#include <array>

#include "kintsugi/engine/core/tensor.h"
#include "kintsugi/engine/cpu/parallel.h"

namespace kintsugi::ref {

template <int N>
struct StridedLoop {
  int rank = 0;
  std::array<int64_t, kMaxRank> extent{};                        // outermost first
  std::array<std::array<int64_t, N>, kMaxRank> stride{};

  // All tensors already expanded to one shape.
  explicit StridedLoop(const std::array<const Tensor*, N>& tensors) {
    const Tensor& lead = *tensors[0];
    std::array<int, kMaxRank> order{};
    int count = 0;
    for (int i = 0; i < lead.rank(); ++i) {
      if (lead.size(i) != 1) order[count++] = i;
    }
    std::stable_sort(order.begin(), order.begin() + count, [&](int a, int b) {
      return lead.strides()[a] > lead.strides()[b];
    });
    for (int i = 0; i < count; ++i) {
      const int64_t n = lead.size(order[i]);
      std::array<int64_t, N> s;
      for (int t = 0; t < N; ++t) s[t] = tensors[t]->strides()[order[i]];
      bool merge = rank > 0;
      for (int t = 0; merge && t < N; ++t) merge = stride[rank - 1][t] == s[t] * n;
      if (merge) {
        extent[rank - 1] *= n;
        stride[rank - 1] = s;
      } else {
        extent[rank] = n;
        stride[rank++] = s;
      }
    }
    if (rank == 0) {
      extent[0] = lead.numel();
      rank = 1;
    }
  }

  // body(offsets, n, steps): a run of n elements from the offsets, each tensor by its step.
  template <class Body>
  void run(const Body& body) const {
    int64_t outer = 1;
    for (int i = 0; i + 1 < rank; ++i) outer *= extent[i];
    const int64_t inner = extent[rank - 1];
    if (outer == 0 || inner == 0) return;
    const auto& steps = stride[rank - 1];
    const int64_t pieces = outer == 1 ? std::max<int64_t>(1, inner / 4096) : outer;
    cpu::parallel_for(pieces, std::max<int64_t>(1, 16384 / std::max<int64_t>(1, inner * outer / pieces)),
                      [&](int64_t begin, int64_t end) {
      if (outer == 1) {
        const int64_t from = inner * begin / pieces, to = inner * end / pieces;
        std::array<int64_t, N> at;
        for (int t = 0; t < N; ++t) at[t] = from * steps[t];
        body(at, to - from, steps);
        return;
      }
      std::array<int64_t, kMaxRank> index{};
      int64_t rest = begin;
      for (int i = rank - 2; i >= 0; --i) {
        index[i] = rest % extent[i];
        rest /= extent[i];
      }
      for (int64_t o = begin; o < end; ++o) {
        std::array<int64_t, N> at{};
        for (int i = 0; i + 1 < rank; ++i) {
          for (int t = 0; t < N; ++t) at[t] += index[i] * stride[i][t];
        }
        body(at, inner, steps);
        for (int i = rank - 2; i >= 0 && ++index[i] == extent[i]; --i) index[i] = 0;
      }
    });
  }
};

template <class R, class A, class F>
void map1(const Tensor& out, const Tensor& a, const F& f) {
  R* o = out.data<R>();
  const A* x = a.data<A>();
  StridedLoop<2>({&out, &a}).run([&](const auto& at, int64_t n, const auto& step) {
    R* po = o + at[0];
    const A* pa = x + at[1];
    if (step[0] == 1 && step[1] == 1) {
      for (int64_t i = 0; i < n; ++i) po[i] = f(pa[i]);
    } else {
      for (int64_t i = 0; i < n; ++i) po[i * step[0]] = f(pa[i * step[1]]);
    }
  });
}

template <class R, class A, class F>
void map2(const Tensor& out, const Tensor& a, const Tensor& b, const F& f) {
  R* o = out.data<R>();
  const A* x = a.data<A>();
  const A* y = b.data<A>();
  StridedLoop<3>({&out, &a, &b}).run([&](const auto& at, int64_t n, const auto& step) {
    R* po = o + at[0];
    const A* pa = x + at[1];
    const A* pb = y + at[2];
    if (step[0] == 1 && step[1] == 1 && step[2] == 1) {
      for (int64_t i = 0; i < n; ++i) po[i] = f(pa[i], pb[i]);
    } else if (step[0] == 1 && step[1] == 1 && step[2] == 0) {
      const A second = *pb;
      for (int64_t i = 0; i < n; ++i) po[i] = f(pa[i], second);
    } else {
      for (int64_t i = 0; i < n; ++i) po[i * step[0]] = f(pa[i * step[1]], pb[i * step[2]]);
    }
  });
}

template <class R, class A, class F>
void map3(const Tensor& out, const Tensor& a, const Tensor& b, const Tensor& c, const F& f) {
  R* o = out.data<R>();
  const A* x = a.data<A>();
  const A* y = b.data<A>();
  const A* z = c.data<A>();
  StridedLoop<4>({&out, &a, &b, &c}).run([&](const auto& at, int64_t n, const auto& step) {
    for (int64_t i = 0; i < n; ++i) {
      o[at[0] + i * step[0]] =
          f(x[at[1] + i * step[1]], y[at[2] + i * step[2]], z[at[3] + i * step[3]]);
    }
  });
}

}  // namespace kintsugi::ref

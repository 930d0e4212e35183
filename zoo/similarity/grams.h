// Unit Grams of features, made where the features lie, and the products of all pairs of them.
// Internal to the room.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "kintsugi/engine/core/tensor.h"
#include "kintsugi/solvers/similarity.h"

namespace kintsugi::zoo::similarity {

struct Grams {
  std::vector<Tensor> packed;  // (1, solvers::packed_gram(rows)), f32; some may lie in files
  std::vector<double> norms;
};

// Of features (rows, channels), f32, all on the host or all on one device; they are let go.
// kNumeric, naming the position: a NaN or an infinity. `check` throws on a stop.
Grams grams_of(std::vector<Tensor> features, const solvers::CkaOptions& options,
               const std::function<void()>& check);

// The inner products of all pairs, taken on a device in slices of the Grams side by side there.
solvers::Matrix products_on(Device device, std::span<const Tensor> packed,
                            const std::function<void()>& check);

// Bytes that both take on a device at their height, beside features, their centred copy and Grams.
size_t device_working_bytes(size_t positions, size_t rows);

}  // namespace kintsugi::zoo::similarity

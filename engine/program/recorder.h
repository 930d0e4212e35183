// Recording and profiling hang on the one place through which every operator passes:
// engine/ops/dispatch.h.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kintsugi/engine/core/context.h"
#include "kintsugi/engine/core/tensor.h"
#include "kintsugi/engine/program/program.h"

namespace kintsugi {

// One operator call as the dispatch sees it.
struct OpCall {
  const char* op;
  std::vector<const Tensor*> inputs;  // undefined ones are left out
  std::vector<const Tensor*> outputs;
  int64_t macs = 0;
  std::string attributes = {};
};

// While it lives, every operator that this thread runs is recorded.
class Recorder {
 public:
  Recorder();
  ~Recorder();
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;

  void record(const OpCall& call);
  const Program& program() const { return program_; }

 private:
  int number_of(const Tensor& x, bool fresh);
  struct Key {
    const void* storage;
    int64_t offset;
    std::string layout;
    auto operator<=>(const Key&) const = default;
  };
  Program program_;
  std::map<Key, int> numbers_;
  std::vector<Tensor> kept_;  // storage must not be reused while its address is a name
  Recorder* outer_;
};

// While it lives, seconds and calls of every operator that this thread runs are summed by name.
class Profiler {
 public:
  struct Row {
    double seconds = 0;
    int64_t calls = 0;
    int64_t macs = 0;
  };
  Profiler();
  ~Profiler();
  Profiler(const Profiler&) = delete;
  Profiler& operator=(const Profiler&) = delete;

  void add(const OpCall& call, double seconds);
  const std::map<std::string, Row>& rows() const { return rows_; }

 private:
  std::map<std::string, Row> rows_;
  Profiler* outer_;
};

}  // namespace kintsugi

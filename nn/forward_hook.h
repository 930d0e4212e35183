// A look at every module's output, and a say in it: what probes of a whole network are made of.
#pragma once

#include <functional>

#include "kintsugi/nn/module.h"

namespace kintsugi::nn {

// While it lives, the output of every module that this thread runs passes through `hook`, a
// module's after its children's; what the hook returns takes its place. The youngest hook alone is
// asked.
class ForwardHook {
 public:
  using Hook = std::function<Variable(Module& module, const Variable& output)>;
  explicit ForwardHook(Hook hook);
  ~ForwardHook();
  ForwardHook(const ForwardHook&) = delete;
  ForwardHook& operator=(const ForwardHook&) = delete;

 private:
  friend class Module;
  static thread_local ForwardHook* current_;
  Hook hook_;
  ForwardHook* outer_;
};

}  // namespace kintsugi::nn

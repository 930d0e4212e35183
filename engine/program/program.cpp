#include "kintsugi/engine/program/program.h"

namespace kintsugi {

int64_t Program::macs() const { return macs_under(""); }

int64_t Program::macs_under(const std::string& path) const {
  int64_t sum = 0;
  for (const Instruction& instruction : instructions) {
    const std::string& module = instruction.module;
    const bool under = path.empty() || module == path ||
                       (module.starts_with(path) && module[path.size()] == '.');
    if (under) sum += instruction.macs;
  }
  return sum;
}

}  // namespace kintsugi

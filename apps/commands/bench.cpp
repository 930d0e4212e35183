#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "kintsugi/apps/commands/commands.h"
#include "kintsugi/apps/paths.h"
#include "kintsugi/engine/core/error.h"

namespace kintsugi::apps::commands {

// The benchmarks are a program of their own: they link what they measure against.
int bench(Session& session) {
  const std::filesystem::path program = find_bench_program();
  std::vector<std::string> words = session.arguments();
  std::vector<char*> argv;
  std::string name = program.string();
  argv.push_back(name.data());
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  execv(name.c_str(), argv.data());
  fail(ErrorKind::kIo, name, ": ", std::strerror(errno));
}

}  // namespace kintsugi::apps::commands

#include "bench/models/load.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <vector>

#include "kintsugi/apps/text.h"
#include "kintsugi/engine/core/error.h"
#include "kintsugi/engine/core/random.h"
#include "kintsugi/zoo/load.h"
#include "kintsugi/zoo/weights/npy.h"

namespace kintsugi::bench {

namespace {

namespace fs = std::filesystem;

struct Run {
  double seconds = 0;
  double peak_bytes = 0;  // resident, mapped pages of the file included
};

Run run(const std::vector<std::string>& words) {
  std::vector<char*> argv;
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t quiet;
  posix_spawn_file_actions_init(&quiet);
  posix_spawn_file_actions_addopen(&quiet, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  const auto start = std::chrono::steady_clock::now();
  pid_t child = 0;
  const int error = posix_spawnp(&child, argv[0], &quiet, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&quiet);
  int status = 0;
  rusage usage{};
  if (error != 0 || wait4(child, &status, 0, &usage) != child || status != 0) {
    fail(ErrorKind::kIo, "bench load: '", words[0], "' did not end well");
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  return {seconds.count(), double(usage.ru_maxrss) * 1024};
}

// What is large happens elsewhere: Linux hands a parent's peak on to the children that it starts.
template <typename F>
void in_a_process(F work) {
  const pid_t child = fork();
  if (child == 0) {
    try {
      work();
    } catch (const std::exception& error) {
      std::cerr << error.what() << "\n";
      _exit(1);
    }
    _exit(0);
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child || status != 0) {
    fail(ErrorKind::kIo, "bench load: the weights could not be written");
  }
}

Run median(std::vector<Run> runs) {
  const auto middle = runs.begin() + ptrdiff_t(runs.size() / 2);
  std::nth_element(runs.begin(), middle, runs.end(),
                   [](const Run& a, const Run& b) { return a.seconds < b.seconds; });
  return *middle;
}

// A folder of this process, gone with it.
struct Scratch {
  fs::path path = fs::temp_directory_path() / ("kintsugi-bench-" + std::to_string(getpid()));
  Scratch() { fs::create_directories(path); }
  ~Scratch() {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
  std::string operator/(const char* name) const { return (path / name).string(); }
};

// Reading the file once, as the page cache gives it: no load is faster.
double read_seconds(const std::string& path) {
  std::vector<char> block(1 << 20);
  const auto start = std::chrono::steady_clock::now();
  std::ifstream in(path, std::ios::binary);
  while (in.read(block.data(), std::streamsize(block.size()))) {
  }
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

void bench_load(std::ostream& out, const LoadBenchOptions& options) {
  const Scratch scratch;
  std::string weights = options.weights;
  const zoo::Variant& variant = zoo::find_variant(options.model);
  if (weights.empty()) {
    weights = scratch / "weights.safetensors";
    in_a_process([&] {
      const zoo::LoadedNetwork fresh = zoo::fresh_network(options.model, {}, 1);
      zoo::save_network(weights, *fresh.network, fresh.card);
    });
  } else if (!fs::is_regular_file(weights)) {
    fail(ErrorKind::kUsage, "bench load: --weights wants a file, got '", weights, "'");
  }
  const Shape input = variant.input;
  Tensor images = Tensor::empty({1, input[0], input[1], input[2]});
  Generator(2).normal(images, 0, 1);
  const std::string x = scratch / "x.npy", y = scratch / "y.npy";
  zoo::write_npy(x, images);
  const std::string program =
      options.program.empty()
          ? (fs::read_symlink("/proc/self/exe").parent_path() / "kintsugi").string()
          : options.program;
  const std::vector<std::string> inspect{program, "inspect", weights},
      infer{program, "infer", "--weights", weights, "--input", x, "--output", y};
  std::vector<std::vector<std::string>> commands{inspect, infer};
  if (!options.beside.empty()) commands.push_back({"sh", "-c", options.beside});

  std::vector<std::vector<Run>> runs(commands.size());
  std::vector<double> reads;
  for (int64_t turn = 0; turn <= options.runs; ++turn) {
    const double read = read_seconds(weights);
    if (turn > 0) reads.push_back(read);
    for (size_t i = 0; i < commands.size(); ++i) {
      const Run one = run(commands[i]);
      if (turn > 0) runs[i].push_back(one);
    }
  }
  const Tensor logits = zoo::read_npy(y);
  const std::vector<float> values = logits.to_vector<float>();
  if (logits.rank() != 2 || logits.size(0) != 1 ||
      !std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); })) {
    fail(ErrorKind::kNumeric, "bench load: got logits of shape ", logits.shape(), " or not finite");
  }

  const double bytes = double(fs::file_size(weights));
  std::nth_element(reads.begin(), reads.begin() + ptrdiff_t(reads.size() / 2), reads.end());
  out << options.model << ", " << apps::fixed(bytes / 1e6, 1) << " MB, medians of " << options.runs
      << ", page cache warm\n"
      << "read the file once       " << apps::fixed(1e3 * reads[reads.size() / 2], 1) << " ms\n";
  const char* const names[] = {"start, load, describe   ", "start, load, first logits",
                               "beside: start to logits "};
  for (size_t i = 0; i < commands.size(); ++i) {
    const Run one = median(runs[i]);
    out << std::left << std::setw(25) << names[i] << apps::fixed(1e3 * one.seconds, 1)
        << " ms, peak " << apps::fixed(one.peak_bytes / 1e6, 0) << " MB, "
        << apps::fixed(one.peak_bytes / bytes, 2) << " of the file\n";
  }
}

}  // namespace kintsugi::bench

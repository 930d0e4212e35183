#include "kintsugi/apps/paths.h"

#include <cstdlib>
#include <vector>

#include "kintsugi/engine/core/error.h"

namespace kintsugi::apps {

namespace {

namespace fs = std::filesystem;

fs::path folder_of_binary() {
  std::error_code ignored;
  return fs::read_symlink("/proc/self/exe", ignored).parent_path();
}

std::string list_of(const std::vector<fs::path>& places) {
  std::string text;
  for (const fs::path& place : places) text += (text.empty() ? "" : ", ") + place.string();
  return text;
}

}  // namespace

fs::path find_bench_program() {
  const fs::path here = folder_of_binary();
  const std::vector<fs::path> places{here / "kintsugi-bench", here / "bench" / "kintsugi-bench",
                                     here.parent_path() / KINTSUGI_LIBEXEC / "kintsugi-bench"};
  for (const fs::path& place : places) {
    if (fs::exists(place)) return place;
  }
  fail(ErrorKind::kIo, "kintsugi-bench is not there; looked for ", list_of(places),
       ". Build with -DKINTSUGI_BENCH=ON");
}

fs::path find_share() {
  std::vector<fs::path> places;
  if (const char* told = std::getenv("KINTSUGI_SHARE")) {
    places.emplace_back(told);
  } else {
    places = {folder_of_binary().parent_path() / KINTSUGI_DATADIR / "kintsugi",
              KINTSUGI_SHIPPED_DIR};
  }
  for (const fs::path& place : places) {
    if (fs::exists(place / "zoo.json")) return place;
  }
  fail(ErrorKind::kIo, "no zoo.json in ", list_of(places),
       "; set KINTSUGI_SHARE to the folder of the shipped zoo");
}

}  // namespace kintsugi::apps

// Where the binary finds what was built or installed with it.
#pragma once

#include <filesystem>

namespace kintsugi::apps {

// Beside the binary, else in the installation's libexec. kIo where it was not built.
std::filesystem::path find_bench_program();

// The shipped zoo and images: $KINTSUGI_SHARE, else share/kintsugi of the installation, else the
// source tree that the binary was built from. kIo where none of them holds zoo.json.
std::filesystem::path find_share();

}  // namespace kintsugi::apps

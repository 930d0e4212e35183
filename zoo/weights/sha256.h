// SHA-256 (FIPS 180-4): plans name the weights they were made from by it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

namespace kintsugi::zoo {

// 64 lower-case hexadecimal digits.
std::string sha256(std::span<const std::byte> bytes);
std::string sha256_of_file(const std::filesystem::path& path);  // Error kIo where it cannot be read

}  // namespace kintsugi::zoo

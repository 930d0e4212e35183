// Where a tensor's elements live.
#pragma once

#include <cstdint>
#include <ostream>

namespace kintsugi {

enum class DeviceType : uint8_t {
  kCpu,
  kCuda,
  kMeta,  // shape only: contracts run, nothing is allocated or computed
};

struct Device {
  DeviceType type = DeviceType::kCpu;
  int index = 0;
  friend bool operator==(const Device&, const Device&) = default;
};

inline constexpr Device kCpu{DeviceType::kCpu, 0};
inline constexpr Device kMeta{DeviceType::kMeta, 0};

inline std::ostream& operator<<(std::ostream& out, Device device) {
  switch (device.type) {
    case DeviceType::kCpu:
      return out << "cpu";
    case DeviceType::kCuda:
      return out << "cuda:" << device.index;
    case DeviceType::kMeta:
      return out << "meta";
  }
  return out;
}

}  // namespace kintsugi

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

// An Error of kind kDevice that says why where there is no such device: this build has no CUDA
// backend, no driver answers, or the index is out of range.
void require(Device device);
// Waits until everything queued on the device is done, so that a clock can be read.
void synchronize(Device device);

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

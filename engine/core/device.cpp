#include "kintsugi/engine/core/device.h"

#include "kintsugi/engine/core/error.h"
#include "kintsugi/engine/cuda/context.h"

namespace kintsugi {

void require(Device device) {
  if (device.type != DeviceType::kCuda) return;
  if constexpr (cuda::kBuilt) {
    cuda::use_device(device.index);
  } else {
    fail(ErrorKind::kDevice, "this build has no CUDA backend; configure with -DKINTSUGI_CUDA=ON for ",
         device);
  }
}

void synchronize([[maybe_unused]] Device device) {
  if constexpr (cuda::kBuilt) {
    if (device.type != DeviceType::kCuda) return;
    cuda::use_device(device.index);
    cuda::synchronize("synchronize", cuda::current_stream());
  }
}

}  // namespace kintsugi

#include "kintsugi/apps/commands/commands.h"
#include "kintsugi/apps/text.h"
#include "kintsugi/engine/core/error.h"
#include "kintsugi/zoo/weights/checkpoint.h"

namespace kintsugi::apps::commands {

int convert(Session& session) {
  std::string weights, out, dtype = "f16";
  Option type{"--dtype", &dtype, "of the stored floating tensors; networks compute in f32"};
  type.choices = {"f16", "bf16", "f32"};
  if (!session.parse("Writes weights with their card as safetensors of another storage type.",
                     {required({"--weights", &weights, "a weights file"}),
                      required({"--out", &out, "the weights file to write (safetensors)"}), type})) {
    return 0;
  }
  const DType to = dtype == "f32" ? DType::kF32 : dtype == "f16" ? DType::kF16 : DType::kBF16;
  zoo::Weights file = zoo::read_weights(weights);
  for (auto& [name, tensor] : file.tensors) {
    if (is_floating(tensor.dtype())) tensor = tensor.to(to);
  }
  // f16 ends at 65504: what overflowed must not be found by the next reader only.
  zoo::check_finite(file.tensors, weights + " as " + dtype);
  zoo::write_weights(out, file);
  say(session, out + ": " + std::to_string(file.tensors.size()) + " tensors as " + dtype);
  return 0;
}

}  // namespace kintsugi::apps::commands

#include "kintsugi/nn/blocks/norm_act.h"

#include "kintsugi/nn/layers/acting_norms.h"

namespace kintsugi::nn {

std::shared_ptr<Module> make_norm(Norm norm, int64_t channels, double weight) {
  switch (norm) {
    case Norm::kBatch:
      return std::make_shared<BatchNorm2d>(channels, weight);
    case Norm::kGroup32:
      return std::make_shared<GroupNorm>(32, channels, 1e-5, true, weight);
    case Norm::kGroupWidth16:
      return std::make_shared<GroupNorm>(channels / 16, channels, 1e-5, true, weight);
    case Norm::kEvoS0:
      return std::make_shared<EvoNormS0>(channels);
    case Norm::kFilterResponse:
      return std::make_shared<FilterResponseNorm>(channels);
  }
  fail(ErrorKind::kMissing, "norm: no module for number ", int(norm));
}

NormAct::NormAct(Norm norm, int64_t channels, Act act)
    : norm_(adopt("", make_norm(norm, channels))),
      act_(child<Activation>(
          "act", norm == Norm::kEvoS0 || norm == Norm::kFilterResponse ? Act::kNone : act)) {}

ConvNormAct::ConvNormAct(int64_t in, int64_t out, const Conv2d::Options& options, Act act,
                         double norm_weight, Norm norm)
    : conv_(child<Conv2d>("conv", in, out, options)),
      bn_(adopt("bn", make_norm(norm, out, norm_weight))),
      act_(child<Activation>("act", act)) {}

Variable ConvNormAct::forward(const Variable& x) {
  return act_(bn_(conv_(x)));
}

}  // namespace kintsugi::nn

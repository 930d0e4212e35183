// Initial values of parameters, by their usual names.
#pragma once

#include "kintsugi/nn/module.h"

namespace kintsugi::nn::init {

Init constant(double value);
// N(0, std) cut at two absolute units (timm's trunc_normal_: bounds -2 and 2).
Init trunc_normal(double std = 0.02);
// He et al. 2015, normal, by the fan-out of an (O,I,KH,KW) kernel divided by its groups.
Init kaiming_normal_fan_out(int64_t groups = 1);
// U(-b, b) with b = 1/sqrt(fan_in): PyTorch's default of Linear and Conv2d.
Init uniform_fan_in(int64_t fan_in);
Init normal(double std);

}  // namespace kintsugi::nn::init

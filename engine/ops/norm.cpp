#include "kintsugi/engine/ops/norm.h"

#include "kintsugi/engine/cpu/norm.h"
#include "kintsugi/engine/cuda/norm.h"
#include "kintsugi/engine/ops/dispatch.h"
#include "kintsugi/engine/ref/norm.h"

namespace kintsugi::ops {

namespace {

// Grids channels last, everything else row major.
Tensor canonical(const Tensor& x, bool grid) {
  return grid ? x.channels_last() : x.contiguous();
}

Tensor empty_canonical(const Tensor& x, bool grid) {
  return Tensor::empty(x.shape(), x.dtype(), x.device(),
                       grid ? MemoryFormat::kChannelsLast : MemoryFormat::kRowMajor);
}

// The same bytes as (rows, channels), or (images, pixels, channels).
Tensor rows_of(const Tensor& canonical_x, bool grid) {
  const Tensor x = grid ? canonical_x.permute({0, 2, 3, 1}) : canonical_x;
  const int64_t channels = x.size(-1);
  return x.view({channels == 0 ? 0 : x.numel() / channels, channels});
}
Tensor images_of(const Tensor& grid) {
  return grid.permute({0, 2, 3, 1}).view({grid.size(0), grid.size(2) * grid.size(3), grid.size(1)});
}

Tensor dense(const Tensor& x) {
  return x.defined() ? x.contiguous() : x;
}

// Room for statistics of x, or for gradients of its parameters.
Tensor numbers_of(const Tensor& x, int64_t count) {
  return Tensor::empty({count}, parameter_dtype(x.dtype()), x.device());
}

void check_parameter(const char* op, const char* what, const Tensor& x, const Tensor& parameter,
                     int64_t channels) {
  if (!parameter.defined()) return;
  detail::require_parameter(op, x, parameter);
  detail::require_shape(op, what, parameter, {channels});
}

void check_statistic(const char* op, const char* what, const Tensor& x, const Tensor& statistic,
                     int64_t size) {
  if (!statistic.defined()) fail(ErrorKind::kUsage, op, ": ", what, " is undefined");
  check_parameter(op, what, x, statistic, size);
}

void check_gradient(const char* op, const Tensor& x, const Tensor& dy) {
  detail::require_same_dtype(op, x, dy);
  detail::require_shape(op, "dy", dy, x.shape());
}

bool check_batch(const char* op, const Tensor& x, const Tensor& weight, const Tensor& bias) {
  detail::require_floating(op, x);
  if (x.rank() != 2 && x.rank() != 4) {
    fail(ErrorKind::kShape, op, ": got shape ", x.shape(), ", expected (N,C,H,W) or (N,C)");
  }
  if (x.size(1) == 0) fail(ErrorKind::kShape, op, ": got shape ", x.shape(), ", no channels");
  check_parameter(op, "weight", x, weight, x.size(1));
  check_parameter(op, "bias", x, bias, x.size(1));
  return x.rank() == 4;
}

NormGrads empty_grads(const Tensor& x, bool grid, const Tensor& weight, int64_t channels,
                      bool want_bias) {
  NormGrads grads;
  grads.dx = empty_canonical(x, grid);
  if (weight.defined()) grads.dweight = numbers_of(x, channels);
  if (want_bias) grads.dbias = numbers_of(x, channels);
  return grads;
}

// Whether the channels of x, which layer norm takes, are dimension 1 of a grid.
bool check_layer(const char* op, const Tensor& x, const Tensor& weight, const Tensor& bias,
                 int channel_dim) {
  detail::require_floating(op, x);
  const int dim = normalise_dim(op, channel_dim, x.rank());
  const bool grid = dim == 1 && x.rank() == 4;
  if (!grid && dim != x.rank() - 1) {
    fail(ErrorKind::kShape, op, ": got channel_dim ", channel_dim, " for shape ", x.shape(),
         ", expected the last, or 1 of (N,C,H,W)");
  }
  if (x.size(dim) == 0) fail(ErrorKind::kShape, op, ": got shape ", x.shape(), ", no channels");
  check_parameter(op, "weight", x, weight, x.size(dim));
  check_parameter(op, "bias", x, bias, x.size(dim));
  return grid;
}

void check_group(const char* op, const Tensor& x, int64_t groups, const Tensor& weight,
                 const Tensor& bias) {
  detail::require_floating(op, x);
  detail::require_rank(op, x, 4, "(N,C,H,W)");
  if (groups < 1 || x.size(1) % groups != 0 || x.size(1) * x.size(2) * x.size(3) == 0) {
    fail(ErrorKind::kShape, op, ": got ", groups, " groups for shape ", x.shape(),
         ", expected a divisor of its channels");
  }
  check_parameter(op, "weight", x, weight, x.size(1));
  check_parameter(op, "bias", x, bias, x.size(1));
}

}  // namespace

BatchNorm batch_norm_train(const Tensor& x, const Tensor& weight, const Tensor& bias,
                           Tensor running_mean, Tensor running_var, double momentum,
                           double epsilon) {
  constexpr const char* kOp = "batch_norm_train";
  const bool grid = check_batch(kOp, x, weight, bias);
  const int64_t channels = x.size(1);
  check_parameter(kOp, "running_mean", x, running_mean, channels);
  check_parameter(kOp, "running_var", x, running_var, channels);
  if (x.numel() / channels < 2) {
    fail(ErrorKind::kShape, kOp, ": got shape ", x.shape(),
         ", expected two values or more a channel");
  }
  for (const Tensor* running : {&running_mean, &running_var}) {
    if (!running->defined()) continue;
    if (!running->is_contiguous()) {
      fail(ErrorKind::kUsage, kOp, ": running statistics must be contiguous");
    }
    running->bump_version();
  }
  BatchNorm out;
  out.output = empty_canonical(x, grid);
  out.mean = numbers_of(x, channels);
  out.rstd = numbers_of(x, channels);
  const Tensor src = rows_of(canonical(x, grid), grid), dst = rows_of(out.output, grid);
  const Tensor w = dense(weight), b = dense(bias);
  detail::dispatch({kOp, {&x, &weight, &bias}, {&out.output, &out.mean, &out.rstd}},
                   KINTSUGI_BACKENDS(batch_norm_train(src, w, b, running_mean, running_var, momentum,
                                                     epsilon, dst, out.mean, out.rstd)));
  return out;
}

NormGrads batch_norm_train_backward(const Tensor& x, const Tensor& weight, const Tensor& mean,
                                    const Tensor& rstd, const Tensor& dy, bool want_bias) {
  constexpr const char* kOp = "batch_norm_train_backward";
  const bool grid = check_batch(kOp, x, weight, {});
  check_statistic(kOp, "mean", x, mean, x.size(1));
  check_statistic(kOp, "rstd", x, rstd, x.size(1));
  check_gradient(kOp, x, dy);
  const NormGrads out = empty_grads(x, grid, weight, x.size(1), want_bias);
  const Tensor src = rows_of(canonical(x, grid), grid), grad = rows_of(canonical(dy, grid), grid);
  const Tensor dst = rows_of(out.dx, grid);
  const Tensor w = dense(weight), m = dense(mean), r = dense(rstd);
  detail::dispatch(
      {kOp, {&x, &weight, &mean, &rstd, &dy}, {&out.dx, &out.dweight, &out.dbias}},
      KINTSUGI_BACKENDS(batch_norm_train_backward(src, w, m, r, grad, dst, out.dweight, out.dbias)));
  return out;
}

Tensor batch_norm_eval(const Tensor& x, const Tensor& weight, const Tensor& bias,
                       const Tensor& running_mean, const Tensor& running_var, double epsilon) {
  constexpr const char* kOp = "batch_norm_eval";
  const bool grid = check_batch(kOp, x, weight, bias);
  check_statistic(kOp, "running_mean", x, running_mean, x.size(1));
  check_statistic(kOp, "running_var", x, running_var, x.size(1));
  const Tensor y = empty_canonical(x, grid);
  const Tensor src = rows_of(canonical(x, grid), grid), dst = rows_of(y, grid);
  const Tensor w = dense(weight), b = dense(bias), m = dense(running_mean), v = dense(running_var);
  detail::dispatch({kOp, {&x, &weight, &bias, &running_mean, &running_var}, {&y}},
                   KINTSUGI_BACKENDS(batch_norm_eval(src, w, b, m, v, epsilon, dst)));
  return y;
}

NormGrads batch_norm_eval_backward(const Tensor& x, const Tensor& weight,
                                   const Tensor& running_mean, const Tensor& running_var,
                                   const Tensor& dy, bool want_bias, double epsilon) {
  constexpr const char* kOp = "batch_norm_eval_backward";
  const bool grid = check_batch(kOp, x, weight, {});
  check_statistic(kOp, "running_mean", x, running_mean, x.size(1));
  check_statistic(kOp, "running_var", x, running_var, x.size(1));
  check_gradient(kOp, x, dy);
  const NormGrads out = empty_grads(x, grid, weight, x.size(1), want_bias);
  const Tensor src = rows_of(canonical(x, grid), grid), grad = rows_of(canonical(dy, grid), grid);
  const Tensor dst = rows_of(out.dx, grid);
  const Tensor w = dense(weight), m = dense(running_mean), v = dense(running_var);
  detail::dispatch(
      {kOp, {&x, &weight, &running_mean, &running_var, &dy}, {&out.dx, &out.dweight, &out.dbias}},
      KINTSUGI_BACKENDS(
          batch_norm_eval_backward(src, w, m, v, epsilon, grad, dst, out.dweight, out.dbias)));
  return out;
}

LayerNorm layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double epsilon,
                     int channel_dim) {
  constexpr const char* kOp = "layer_norm";
  const bool grid = check_layer(kOp, x, weight, bias, channel_dim);
  LayerNorm out;
  out.output = empty_canonical(x, grid);
  const Tensor src = rows_of(canonical(x, grid), grid), dst = rows_of(out.output, grid);
  out.mean = numbers_of(x, src.size(0));
  out.rstd = numbers_of(x, src.size(0));
  const Tensor w = dense(weight), b = dense(bias);
  detail::dispatch({kOp, {&x, &weight, &bias}, {&out.output, &out.mean, &out.rstd}},
                   KINTSUGI_BACKENDS(layer_norm(src, w, b, epsilon, dst, out.mean, out.rstd)));
  return out;
}

NormGrads layer_norm_backward(const Tensor& x, const Tensor& weight, const Tensor& mean,
                              const Tensor& rstd, const Tensor& dy, bool want_bias,
                              int channel_dim) {
  constexpr const char* kOp = "layer_norm_backward";
  const bool grid = check_layer(kOp, x, weight, {}, channel_dim);
  check_gradient(kOp, x, dy);
  const Tensor src = rows_of(canonical(x, grid), grid), grad = rows_of(canonical(dy, grid), grid);
  check_statistic(kOp, "mean", x, mean, src.size(0));
  check_statistic(kOp, "rstd", x, rstd, src.size(0));
  const NormGrads out = empty_grads(x, grid, weight, src.size(1), want_bias);
  const Tensor dst = rows_of(out.dx, grid);
  const Tensor w = dense(weight), m = dense(mean), r = dense(rstd);
  detail::dispatch(
      {kOp, {&x, &weight, &mean, &rstd, &dy}, {&out.dx, &out.dweight, &out.dbias}},
      KINTSUGI_BACKENDS(layer_norm_backward(src, w, m, r, grad, dst, out.dweight, out.dbias)));
  return out;
}

GroupNorm group_norm(const Tensor& x, int64_t groups, const Tensor& weight, const Tensor& bias,
                     double epsilon) {
  constexpr const char* kOp = "group_norm";
  check_group(kOp, x, groups, weight, bias);
  GroupNorm out;
  out.output = empty_canonical(x, true);
  out.mean = numbers_of(x, x.size(0) * groups);
  out.rstd = numbers_of(x, x.size(0) * groups);
  const Tensor src = images_of(x.channels_last()), dst = images_of(out.output);
  const Tensor w = dense(weight), b = dense(bias);
  detail::dispatch(
      {kOp,
       {&x, &weight, &bias},
       {&out.output, &out.mean, &out.rstd},
       0,
       "groups=" + std::to_string(groups)},
      KINTSUGI_BACKENDS(group_norm(src, groups, w, b, epsilon, dst, out.mean, out.rstd)));
  return out;
}

NormGrads group_norm_backward(const Tensor& x, int64_t groups, const Tensor& weight,
                              const Tensor& mean, const Tensor& rstd, const Tensor& dy,
                              bool want_bias) {
  constexpr const char* kOp = "group_norm_backward";
  check_group(kOp, x, groups, weight, {});
  check_statistic(kOp, "mean", x, mean, x.size(0) * groups);
  check_statistic(kOp, "rstd", x, rstd, x.size(0) * groups);
  check_gradient(kOp, x, dy);
  const NormGrads out = empty_grads(x, true, weight, x.size(1), want_bias);
  const Tensor src = images_of(x.channels_last()), grad = images_of(dy.channels_last());
  const Tensor dst = images_of(out.dx);
  const Tensor w = dense(weight), m = dense(mean), r = dense(rstd);
  detail::dispatch({kOp,
                    {&x, &weight, &mean, &rstd, &dy},
                    {&out.dx, &out.dweight, &out.dbias},
                    0,
                    "groups=" + std::to_string(groups)},
                   KINTSUGI_BACKENDS(group_norm_backward(src, groups, w, m, r, grad, dst,
                                                        out.dweight, out.dbias)));
  return out;
}

}  // namespace kintsugi::ops

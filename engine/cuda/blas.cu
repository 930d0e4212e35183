#include "kintsugi/engine/cuda/blas.h"

#include <cublasLt.h>
#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <compare>
#include <map>
#include <memory>
#include <mutex>
#include <type_traits>

#include "kintsugi/engine/cuda/launch.h"

namespace kintsugi::cuda {

namespace {

constexpr size_t kWorkspace = size_t{32} << 20;  // at most
constexpr size_t kMaxPlans = 4096;               // of a thread
constexpr int64_t kMaxBatch = 32768;             // cuBLASLt takes fewer than 2^16

// Loaded at first use, so that neither building nor starting needs the library: where the loader
// looks, then where the build had its toolkit.
struct Library {
  decltype(&cublasLtCreate) create;
  decltype(&cublasLtGetStatusString) status_string;
  decltype(&cublasLtMatmulDescCreate) desc_create;
  decltype(&cublasLtMatmulDescDestroy) desc_destroy;
  decltype(&cublasLtMatmulDescSetAttribute) desc_set;
  decltype(&cublasLtMatrixLayoutCreate) layout_create;
  decltype(&cublasLtMatrixLayoutDestroy) layout_destroy;
  decltype(&cublasLtMatrixLayoutSetAttribute) layout_set;
  decltype(&cublasLtMatmulPreferenceCreate) preference_create;
  decltype(&cublasLtMatmulPreferenceDestroy) preference_destroy;
  decltype(&cublasLtMatmulPreferenceSetAttribute) preference_set;
  decltype(&cublasLtMatmulAlgoGetHeuristic) heuristic;
  decltype(&cublasLtMatmul) matmul;
};

void* open_library(const char* op) {
  for (const char* name : {"libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so",
                           KINTSUGI_CUDA_LIBRARIES "/libcublasLt.so",
                           "/usr/local/cuda/lib64/libcublasLt.so"}) {
    if (void* handle = dlopen(name, RTLD_NOW | RTLD_LOCAL)) return handle;
  }
  const char* why = dlerror();
  fail(ErrorKind::kDevice, op, ": matrix products on a device need cuBLASLt, and none of ",
       "libcublasLt.so.13, libcublasLt.so.12 and libcublasLt.so could be loaded; is its folder in ",
       "LD_LIBRARY_PATH? (", why ? why : "no reason given", ")");
}

Library load_library(const char* op) {
  void* const handle = open_library(op);
  const auto find = [&](auto& function, const char* name) {
    void* const address = dlsym(handle, name);
    if (!address) fail(ErrorKind::kDevice, op, ": the libcublasLt that was found has no ", name);
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(address);
  };
  Library lib{};
  find(lib.create, "cublasLtCreate");
  find(lib.status_string, "cublasLtGetStatusString");
  find(lib.desc_create, "cublasLtMatmulDescCreate");
  find(lib.desc_destroy, "cublasLtMatmulDescDestroy");
  find(lib.desc_set, "cublasLtMatmulDescSetAttribute");
  find(lib.layout_create, "cublasLtMatrixLayoutCreate");
  find(lib.layout_destroy, "cublasLtMatrixLayoutDestroy");
  find(lib.layout_set, "cublasLtMatrixLayoutSetAttribute");
  find(lib.preference_create, "cublasLtMatmulPreferenceCreate");
  find(lib.preference_destroy, "cublasLtMatmulPreferenceDestroy");
  find(lib.preference_set, "cublasLtMatmulPreferenceSetAttribute");
  find(lib.heuristic, "cublasLtMatmulAlgoGetHeuristic");
  find(lib.matmul, "cublasLtMatmul");
  return lib;
}

const Library& library(const char* op) {
  static const Library lib = load_library(op);  // a failure is tried again
  return lib;
}

// What an error names.
struct Call {
  const char* op;
  const Gemm& g;
  const Library& lib;

  void check(cublasStatus_t status) const {
    if (status != CUBLAS_STATUS_SUCCESS) refuse(status);
  }
  [[noreturn]] void refuse(cublasStatus_t status) const {
    fail(ErrorKind::kDevice, op, ": cuBLASLt refused (", g.m, ",", g.k,
         g.a_transposed ? ")^T" : ")", " x (", g.k, ",", g.n, g.b_transposed ? ")^T" : ")", " of ",
         name_of(g.operands), " in ", name_of(g.result), ", ", g.batch, " of them, rows ", g.a_row,
         ", ", g.b_row, " and ", g.y_row, " apart: ", lib.status_string(status), " (", int(status),
         ")");
  }
};

// One handle a device for all threads, for the life of the process.
cublasLtHandle_t handle_of(const Call& call, int device) {
  static std::mutex mutex;
  static std::array<cublasLtHandle_t, 64> handles{};
  std::lock_guard lock(mutex);
  cublasLtHandle_t& handle = handles[size_t(device)];
  if (!handle) call.check(call.lib.create(&handle));
  return handle;
}

// All that the choice of a kernel depends on.
struct Key {
  int device;
  Math math;
  DType result;
  bool a_transposed, b_transposed, accumulate, has_bias, relu;
  std::array<int64_t, 10> sizes;
  std::array<uint32_t, 4> alignments;  // in bytes: of a, b, y and bias
  auto operator<=>(const Key&) const = default;
};

// Of every matrix of a batch, `step_bytes` apart.
uint32_t alignment_of(const void* address, int64_t step_bytes = 0) {
  const auto bits = reinterpret_cast<uintptr_t>(address) | uintptr_t(step_bytes) | 256;
  return uint32_t(bits & -bits);
}

template <class T>
using Handle = std::unique_ptr<std::remove_pointer_t<T>, cublasStatus_t (*)(T)>;

struct Plan {
  Handle<cublasLtMatmulDesc_t> desc;
  Handle<cublasLtMatrixLayout_t> a, b, y;
  cublasLtMatmulAlgo_t algo;
  size_t workspace;
  bool finishes;  // bias and relu are part of it
};

// cuBLASLt's matrices are column major: to it, y^T (n,m) = b^T a^T, its first operand is our b.
Handle<cublasLtMatrixLayout_t> layout_of(const Call& call, cudaDataType type, int64_t rows,
                                         int64_t columns, int64_t row, int64_t step) {
  cublasLtMatrixLayout_t layout = nullptr;
  call.check(call.lib.layout_create(&layout, type, uint64_t(columns), uint64_t(rows), row));
  Handle<cublasLtMatrixLayout_t> out(layout, call.lib.layout_destroy);
  const int32_t batch = int32_t(call.g.batch);
  call.check(
      call.lib.layout_set(layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &batch, sizeof(batch)));
  call.check(call.lib.layout_set(layout, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &step,
                                 sizeof(step)));
  return out;
}

cudaDataType type_of(DType dtype) {
  return dtype == DType::kBF16 ? CUDA_R_16BF : CUDA_R_32F;
}

template <class T>
void set(const Call& call, cublasLtMatmulDesc_t desc, cublasLtMatmulDescAttributes_t attribute,
         const T& value) {
  call.check(call.lib.desc_set(desc, attribute, &value, sizeof(value)));
}

cublasLtEpilogue_t epilogue_of(const Gemm& g) {
  if (g.bias) return g.relu ? CUBLASLT_EPILOGUE_RELU_BIAS : CUBLASLT_EPILOGUE_BIAS;
  return g.relu ? CUBLASLT_EPILOGUE_RELU : CUBLASLT_EPILOGUE_DEFAULT;
}

Plan make_plan(const Call& call, cublasLtHandle_t handle, const Key& key) {
  const Gemm& g = call.g;
  const Library& lib = call.lib;
  cublasLtMatmulDesc_t raw = nullptr;
  call.check(lib.desc_create(
      &raw, key.math == Math::kTF32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F,
      CUDA_R_32F));
  Handle<cublasLtMatmulDesc_t> desc(raw, lib.desc_destroy);
  set(call, raw, CUBLASLT_MATMUL_DESC_TRANSA, g.b_transposed ? CUBLAS_OP_T : CUBLAS_OP_N);
  set(call, raw, CUBLASLT_MATMUL_DESC_TRANSB, g.a_transposed ? CUBLAS_OP_T : CUBLAS_OP_N);
  const cudaDataType type = type_of(g.operands);
  Plan plan{std::move(desc),
            layout_of(call, type, g.a_transposed ? g.k : g.m, g.a_transposed ? g.m : g.k, g.a_row,
                      g.a_step),
            layout_of(call, type, g.b_transposed ? g.n : g.k, g.b_transposed ? g.k : g.n, g.b_row,
                      g.b_step),
            layout_of(call, type_of(g.result), g.m, g.n, g.y_row, g.y_step),
            {},
            0,
            true};

  cublasLtMatmulPreference_t wish = nullptr;
  call.check(lib.preference_create(&wish));
  const Handle<cublasLtMatmulPreference_t> wish_owner(wish, lib.preference_destroy);
  const auto want = [&](cublasLtMatmulPreferenceAttributes_t attribute, const auto& value) {
    call.check(lib.preference_set(wish, attribute, &value, sizeof(value)));
  };
  want(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, kWorkspace);
  // A sum over k that is split is put together from partial sums in the workspace, by a step of its
  // own: never in place, in the order in which blocks happen to end.
  want(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
       uint32_t(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
  want(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, key.alignments[1]);
  want(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, key.alignments[0]);
  want(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, key.alignments[2]);
  want(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, key.alignments[2]);

  const auto search = [&](cublasLtEpilogue_t epilogue, const void* bias) {
    set(call, raw, CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue);
    set(call, raw, CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);  // read for its alignment
    cublasLtMatmulHeuristicResult_t found{};
    int count = 0;
    const cublasStatus_t status =
        lib.heuristic(handle, raw, plan.b.get(), plan.a.get(), plan.y.get(), plan.y.get(), wish, 1,
                      &found, &count);
    plan.algo = found.algo;
    plan.workspace = found.workspaceSize;
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    return count == 0 ? CUBLAS_STATUS_NOT_SUPPORTED : found.state;
  };
  cublasStatus_t status = search(epilogue_of(g), g.bias);
  if (status != CUBLAS_STATUS_SUCCESS && epilogue_of(g) != CUBLASLT_EPILOGUE_DEFAULT) {
    plan.finishes = false;
    status = search(CUBLASLT_EPILOGUE_DEFAULT, nullptr);
  }
  call.check(status);
  return plan;
}

// `count` products of the batch, from product `first` on.
Gemm part_of(Gemm g, int64_t first, int64_t count) {
  const int64_t width = int64_t(size_of(g.operands)), y_width = int64_t(size_of(g.result));
  g.a = static_cast<const std::byte*>(g.a) + first * g.a_step * width;
  g.b = static_cast<const std::byte*>(g.b) + first * g.b_step * width;
  g.y = static_cast<std::byte*>(g.y) + first * g.y_step * y_width;
  g.batch = count;
  return g;
}

// A thread has plans of its own: a descriptor holds the bias of the product under way.
Plan& plan_of(const Call& call, cublasLtHandle_t handle, const Key& key) {
  static thread_local std::map<Key, Plan> plans;
  const auto found = plans.find(key);
  if (found != plans.end()) return found->second;
  if (plans.size() >= kMaxPlans) plans.clear();
  return plans.emplace(key, make_plan(call, handle, key)).first->second;
}

}  // namespace

void gemm(const char* op, const Gemm& g) {
  if (g.batch > kMaxBatch) {
    for (int64_t first = 0; first < g.batch; first += kMaxBatch) {
      gemm(op, part_of(g, first, std::min(kMaxBatch, g.batch - first)));
    }
    return;
  }
  const Call call{op, g, library(op)};
  const int device = current_device();
  const cublasLtHandle_t handle = handle_of(call, device);
  const int64_t width = int64_t(size_of(g.operands)), y_width = int64_t(size_of(g.result));
  const Key key{device,
                math_of(g.operands),
                g.result,
                g.a_transposed,
                g.b_transposed,
                g.accumulate,
                g.bias != nullptr,
                g.relu,
                {g.m, g.n, g.k, g.batch, g.a_row, g.b_row, g.y_row, g.a_step, g.b_step, g.y_step},
                {alignment_of(g.a, g.a_step * width), alignment_of(g.b, g.b_step * width),
                 alignment_of(g.y, g.y_step * y_width), alignment_of(g.bias)}};
  Plan& plan = plan_of(call, handle, key);
  if (plan.finishes && g.bias) {
    set(call, plan.desc.get(), CUBLASLT_MATMUL_DESC_BIAS_POINTER, g.bias);
  }
  Tensor workspace;
  if (plan.workspace > 0) {
    workspace = Tensor::empty({int64_t(plan.workspace)}, DType::kU8, {DeviceType::kCuda, device});
  }
  const float one = 1, kept = g.accumulate ? 1 : 0;
  call.check(call.lib.matmul(handle, plan.desc.get(), &one, g.b, plan.b.get(), g.a, plan.a.get(),
                             &kept, g.y, plan.y.get(), g.y, plan.y.get(), &plan.algo,
                             pointer<uint8_t>(workspace), plan.workspace,
                             static_cast<cudaStream_t>(current_stream())));
  if (!plan.finishes) finish(op, g);
}

}  // namespace kintsugi::cuda

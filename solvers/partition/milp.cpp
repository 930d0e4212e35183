#include "kintsugi/engine/core/error.h"
#include "kintsugi/solvers/partition/search.h"
namespace kintsugi::solvers::partition {
PartitionResult solve_milp(const PartitionProblem&, const Control&) { fail(ErrorKind::kMissing, "x"); }
}

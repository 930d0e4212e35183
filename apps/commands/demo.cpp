#include "kintsugi/apps/commands/commands.h"
#include "kintsugi/engine/core/error.h"
namespace kintsugi::apps::commands {
int demo(Session&) { fail(ErrorKind::kMissing, "the demo is not written yet"); }
}  // namespace kintsugi::apps::commands

// The subcommands: each takes its words from the session and returns the exit code.
#pragma once

#include "kintsugi/apps/session.h"

namespace kintsugi::apps::commands {

int models(Session& session);
int inspect(Session& session);
int infer(Session& session);
int predict(Session& session);
int eval(Session& session);
int similarity(Session& session);
int partition(Session& session);
int reassemble(Session& session);
int score(Session& session);
int calibrate(Session& session);
int stitch_graph(Session& session);
int latency(Session& session);
int train(Session& session);
int finetune(Session& session);
int convert(Session& session);
int subset(Session& session);
int demo(Session& session);
int bench(Session& session);

}  // namespace kintsugi::apps::commands

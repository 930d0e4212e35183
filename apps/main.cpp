#include "kintsugi/apps/commands/commands.h"

namespace {

using namespace kintsugi::apps;

constexpr Command kCommands[] = {
    {"models", "the catalog of architectures, with costs", commands::models},
    {"inspect", "a network's blocks, shapes and costs", commands::inspect},
    {"infer", "logits of images", commands::infer},
    {"predict", "what a network sees in image files", commands::predict},
    {"eval", "accuracy on a data set", commands::eval},
    {"similarity", "similarity of all positions of a zoo's networks", commands::similarity},
    {"partition", "cut a zoo's networks into sets of equivalent blocks", commands::partition},
    {"reassemble", "the best network of one block a set within a budget", commands::reassemble},
    {"score", "training-free proxies of networks", commands::score},
    {"calibrate", "how well proxies rank the assemblies of a real zoo", commands::calibrate},
    {"stitch-graph", "networks of any runs of nodes that no other beats", commands::stitch_graph},
    {"latency", "how long a partition's blocks and stitches take on this machine",
     commands::latency},
    {"train", "train a network of the catalog", commands::train},
    {"finetune", "train further a network with weights, or a reassembled one", commands::finetune},
    {"convert", "weights stored in another type", commands::convert},
    {"subset", "write a small class-balanced part of a data set", commands::subset},
    {"demo", "the main job, whole, on what is shipped", commands::demo},
    {"bench", "kernels and networks against this machine's ceilings", commands::bench},
};

}  // namespace

int main(int argc, char** argv) {
  return run_command_line(
      {"kintsugi", "Takes trained vision networks apart and puts their blocks back together."},
      kCommands, argc, argv);
}

"""Registers and spills of every kernel, from the compiler's report of a whole build:

    cmake --preset cuda -DCMAKE_CUDA_FLAGS=--resource-usage
    cmake --build --preset cuda --target kintsugi_engine --clean-first 2>&1 | python bench/device/registers.py

Prints a Markdown table: a row a kernel and architecture, over all instances of its template.
"""
import re
import subprocess
import sys


def main():
    entry = re.compile(r"Compiling entry function '(\S+)' for '(sm_\w+)'")
    spills = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
    used = re.compile(r"Used (\d+) registers")
    names, found, current, spilled = [], [], None, 0
    for line in sys.stdin:
        if match := entry.search(line):
            current, spilled = match.groups(), 0
        elif match := spills.search(line):
            spilled = int(match[2])
        elif (match := used.search(line)) and current:
            names.append(current[0])
            found.append((current[1], int(match[1]), spilled))
            current = None
    plain = subprocess.run(["c++filt"], input="\n".join(names), capture_output=True, text=True, check=True)
    rows = {}
    for name, (arch, registers, spilled) in zip(plain.stdout.splitlines(), found):
        short = re.sub(r"^void ", "", name).replace("(anonymous namespace)::", "")
        short = re.sub(r"[<(].*", "", short).removeprefix("kintsugi::cuda::")
        row = rows.setdefault((short, arch), [0, 999, 0, 0])
        row[0] += 1
        row[1], row[2], row[3] = min(row[1], registers), max(row[2], registers), max(row[3], spilled)
    print("| kernel | architecture | instances | registers | spilled, bytes |\n|---|---|---|---|---|")
    for (short, arch), (count, least, most, spilled) in sorted(rows.items()):
        print(f"| {short} | {arch} | {count} | {least if least == most else f'{least}-{most}'} | {spilled} |")


if __name__ == "__main__":
    main()

"""The result file of bench/device/run, from what its steps printed:

    python report.py FOLDER > RESULT.md
"""
import datetime
import json
import pathlib
import re
import subprocess
import sys


def rows_of(path):
    """A line that was cut short, or an error whose text is no JSON, is an error of its own."""
    rows = []
    for line in path.read_text(errors="replace").splitlines() if path.exists() else []:
        if line.startswith("{"):
            try:
                rows.append(json.loads(line))
            except ValueError:
                rows.append({"error": line})
    return rows


def card():
    smi = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(smi, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "no card"


def complaints(text):
    """The first lines from where something is said to be wrong, and the last."""
    lines = text.splitlines()
    wrong = re.compile(r"error|fail|hazard|invalid|not found|no such|exception", re.IGNORECASE)
    first = next((i for i, line in enumerate(lines) if wrong.search(line)), 0)
    end = lines[max(first + 40, len(lines) - 8):]
    return lines[first:first + 40] + (["..."] if end else []) + end


def main():
    work = pathlib.Path(sys.argv[1])
    ours, theirs = rows_of(work / "ours.txt"), rows_of(work / "peer.txt")
    peer = next((r for r in theirs if r.get("kind") == "peer"), None)
    beside = "no PyTorch"
    if peer:
        beside = "PyTorch {torch} with CUDA {cuda} and cuDNN {cudnn}".format(**peer)
    print(f"# On a device\n\n{datetime.date.today()}, {card()}, {beside}. Written by "
          "`sh bench/device/run`.\n")
    print("| step | outcome |\n|---|---|")
    steps = [line.split(": ", 1) for line in (work / "steps.txt").read_text().splitlines()]
    for name, outcome in steps:
        print(f"| {name} | {outcome} |")
    sums = re.compile(r"\[doctest\] (test cases|assertions):|=+ \w+ SUMMARY:|skipped:|inputs:")
    for name, _ in steps:
        path = work / f"{name}.txt"
        for line in path.read_text(errors="replace").splitlines() if path.exists() else []:
            if sums.match(line):
                print(f"\n{name}: `{line}`")
    for row in ours + theirs:
        if "error" in row:
            print(f"\n**{row['error']}**")

    copy = next((r["gb_s"] for r in theirs if r.get("name") == "copy"), None)
    own = next((r["gb_s"] for r in ours if r.get("name") == "copy" and r["storage"] == "f32"), None)
    print("\n## Kernels that memory bounds\n")
    if copy:
        print(f"PyTorch's copy of 1 GiB: {copy} GB/s. To reach: 80 % of it.")
    else:
        print("No copy of PyTorch's to compare with: shares are of the copy here.")
        copy = own
    print("\n| kernel | storage | GB/s | of the copy |\n|---|---|---|---|")
    for row in ours:
        if row.get("kind") == "kernel":
            share = f"{row['gb_s'] / copy:.0%}" if copy else ""
            print(f"| {row['name']} | {row['storage']} | {row['gb_s']} | {share} |")

    def key(r):
        return r["name"], r["batch"], r.get("what", ""), r["math"]

    beside = {key(r): r for r in theirs if r.get("kind") == "product"}
    print("\n## Products, convolutions, attention\n")
    print("\"square\" is the product of two square matrices.\n")
    print("| what | batch or side | math | TFLOP/s | PyTorch | ratio |\n|---|---|---|---|---|---|")
    for row in ours:
        if row.get("kind") == "product":
            other = beside.get(key(row))
            ratio = " | "
            if other:
                ratio = f"{other['tflop_s']} | {row['tflop_s'] / max(other['tflop_s'], 0.01):.2f}"
            print(f"| {row['name']} | {row['batch']} | {row['math']} | {row['tflop_s']} | "
                  f"{ratio} |")

    beside = {key(r): r for r in theirs if r.get("kind") == "network"}
    print("\n## Networks\n")
    print("To reach: 1.0 of PyTorch eager at inference, 0.8 at training.\n")
    print("| network | batch | what | math | ms | PyTorch, ms | ratio | peak, MiB |")
    print("|---|---|---|---|---|---|---|---|")
    for row in ours:
        if row.get("kind") != "network":
            continue
        what = row["what"].split(",")[0]
        other = beside.get((row["name"], row["batch"], what, row["math"]))
        ratio = f"{other['ms']} | {other['ms'] / row['ms']:.2f}" if other else " | "
        # A replay's memory is a pool of its own, which the peak leaves out.
        peak = f"{row['peak_mib']:.0f}" if what == row["what"] else ""
        print(f"| {row['name']} | {row['batch']} | {row['what']} | {row['math']} | {row['ms']} | "
              f"{ratio} | {peak} |")

    for name, outcome in steps:
        if outcome.startswith(("passed", "skipped")) or not (work / f"{name}.txt").exists():
            continue
        said = complaints((work / f"{name}.txt").read_text(errors="replace"))
        print(f"\n## What {name} said\n\n```")
        print("\n".join(line[:200] for line in said) + "\n```")


if __name__ == "__main__":
    main()

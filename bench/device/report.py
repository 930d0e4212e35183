"""The result file of bench/device/run, from what its steps printed:  python report.py FOLDER > RESULT.md"""
import datetime
import json
import pathlib
import re
import subprocess
import sys


def rows_of(path):
    rows = []
    for line in path.read_text().splitlines() if path.exists() else []:
        if line.startswith("{"):
            rows.append(json.loads(line))
    return rows


def main():
    work = pathlib.Path(sys.argv[1])
    ours, theirs = rows_of(work / "ours.txt"), rows_of(work / "peer.txt")
    smi = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    card = subprocess.run(smi, capture_output=True, text=True, check=False).stdout.strip()
    peer = next((r for r in theirs if r["kind"] == "peer"), {})
    print(f"# On a device\n\n{datetime.date.today()}, {card or 'no card'}, PyTorch {peer.get('torch')} with CUDA "
          f"{peer.get('cuda')} and cuDNN {peer.get('cudnn')}. Written by `sh bench/device/run`.\n")
    print("| step | outcome |\n|---|---|")
    for line in (work / "steps.txt").read_text().splitlines():
        print("| {} | {} |".format(*line.split(": ", 1)))
    tests = work / "tests.txt"
    if tests.exists():
        for line in re.findall(r"\[doctest\] (?:test cases|assertions):.*", tests.read_text()):
            print(f"\n`{line}`")
    for row in ours:
        if "error" in row:
            print(f"\n**{row['error']}**")

    copy = next((r["gb_s"] for r in theirs if r.get("name") == "copy"), None)
    print(f"\n## Kernels that memory bounds\n\nPyTorch's copy of 1 GiB: {copy} GB/s. To reach: 80 % of it.\n")
    print("| kernel | storage | GB/s | of the copy |\n|---|---|---|---|")
    for row in ours:
        if row.get("kind") == "kernel":
            share = f"{row['gb_s'] / copy:.0%}" if copy else ""
            print(f"| {row['name']} | {row['storage']} | {row['gb_s']} | {share} |")

    key = lambda r: (r["name"], r["batch"], r.get("what", ""), r["math"])  # noqa: E731
    beside = {key(r): r for r in theirs if r["kind"] == "product"}
    print("\n## Products, convolutions, attention\n\n\"square\" is the product of two square matrices.\n")
    print("| what | batch or side | math | TFLOP/s | PyTorch | ratio |\n|---|---|---|---|---|---|")
    for row in ours:
        if row.get("kind") == "product":
            other = beside.get(key(row))
            ratio = f"{other['tflop_s']} | {row['tflop_s'] / max(other['tflop_s'], 0.1):.2f}" if other else " | "
            print(f"| {row['name']} | {row['batch']} | {row['math']} | {row['tflop_s']} | {ratio} |")

    beside = {key(r): r for r in theirs if r["kind"] == "network"}
    print("\n## Networks\n\nTo reach: 1.0 of PyTorch eager at inference, 0.8 at training.\n")
    print("| network | batch | what | math | ms | PyTorch, ms | ratio | peak, MiB |\n|---|---|---|---|---|---|---|---|")
    for row in ours:
        if row.get("kind") != "network":
            continue
        other = beside.get((row["name"], row["batch"], row["what"].split(",")[0], row["math"]))
        ratio = f"{other['ms']} | {other['ms'] / row['ms']:.2f}" if other else " | "
        print(f"| {row['name']} | {row['batch']} | {row['what']} | {row['math']} | {row['ms']} | {ratio} | "
              f"{row['peak_mib']:.0f} |")


if __name__ == "__main__":
    main()

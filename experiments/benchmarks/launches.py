"""What a program compiled for a GPU launches: kernels, rounds of loops, and the bytes they move."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from experiments.benchmarks.hlo import Program, bytes_of, gathered

# What a GPU has nothing to do for: names of memory, and the ends of what runs on the side.
FREE = {"after-all", "bitcast", "constant", "get-tuple-element", "parameter", "tuple"}
PARTS = {"dynamic-slice", "gather", "slice"}  # of their first operand they read what they give


class Launch(NamedTuple):
    """A kernel, a copy or a collective, and how often it is launched."""

    instruction: dict[str, Any]
    rounds: int
    looped: bool


def launches(program: Program) -> list[Launch]:
    """Everything that is launched: a loop of unknown rounds has one, a conditional its most."""
    return list(_walk(program, program.bodies[program.entry], 1, False))


def _walk(program: Program, body: list[dict], rounds: int, looped: bool) -> Iterator[Launch]:
    for i in body:
        kind = i["opcode"]
        inner = [program.bodies[x] for x in i.get("applies", ()) if x in program.bodies]
        if kind == "while":
            # Of a loop that counts, the GPU does not ask whether it goes on.
            condition, step = inner
            for part in [step] if i["rounds"] else [condition, step]:
                yield from _walk(program, part, rounds * (i["rounds"] or 1), True)
        elif kind == "conditional":
            branches = [list(_walk(program, branch, rounds, looped)) for branch in inner]
            yield from max(branches, key=_total)
        elif kind == "call":
            yield from _walk(program, inner[0], rounds, looped)
        elif kind not in FREE and not kind.endswith(("-done", "-update")):
            # cuFFT launches about two kernels for a transform.
            yield Launch(i, rounds * (2 if kind == "fft" else 1), looped)


def _total(found: list[Launch]) -> int:
    return sum(launch.rounds for launch in found)


def loops(program: Program) -> list[int | None]:
    """The rounds of each loop; None where the host must ask the GPU before each round."""
    return [i["rounds"] for i in program.instructions() if i["opcode"] == "while"]


def summary(program: Program) -> dict[str, Any]:
    """Launches, loops, bytes and collectives, as rows of a table have them."""
    found, sizes = launches(program), _sizes(program)
    moved = sum(_moved(program, x.instruction, sizes) * _times(x) for x in found)
    collectives: dict[str, int] = {}
    for launch in found:
        if size := gathered(launch.instruction):
            kind = launch.instruction["opcode"].removesuffix("-start")
            collectives[kind] = collectives.get(kind, 0) + size * launch.rounds
    return {
        "launches": _total(found),
        "looped": _total([launch for launch in found if launch.looped]),
        "loops": loops(program),
        "bytes": moved,
        "collectives": collectives,
    }


def _times(launch: Launch) -> int:
    return launch.rounds // 2 if launch.instruction["opcode"] == "fft" else launch.rounds


def _sizes(program: Program) -> dict[str, int]:
    """The bytes of each instruction's result; names are unique in a program."""
    return {
        i["name"]: sum(map(bytes_of, i["arrays"])) for body in program.bodies.values() for i in body
    }


def _moved(program: Program, i: dict[str, Any], sizes: dict[str, int]) -> int:
    """The bytes that it reads and writes."""
    if i["opcode"] == "fusion":
        return _moved_by_fusion(program.bodies[i["calls"]], i, sizes)
    if i["opcode"] in PARTS:
        return 2 * sizes[i["name"]]
    if i["opcode"] == "dynamic-update-slice":
        return 2 * sizes[i["operands"][1]]
    if i["opcode"].endswith("-start") and i["opcode"] != "all-reduce-start":
        return sizes[i["name"]]  # holds what goes in, too
    return sizes[i["name"]] + sum(sizes[name] for name in i["operands"])


def _moved_by_fusion(body: list[dict], i: dict[str, Any], sizes: dict[str, int]) -> int:
    """Of what is cut out of an operand, or put into it in place, the part alone moves."""
    users: dict[str, list[dict]] = {}
    for inner in body:
        for position, name in enumerate(inner["operands"]):
            users.setdefault(name, []).append(inner | {"position": position})

    def uses(name: str) -> list[dict]:
        found = []
        for user in users.get(name, []):
            found += uses(user["name"]) if user["opcode"] == "bitcast" else [user]
        return found

    moved = 0
    for inner in body:
        if inner["opcode"] == "parameter":
            moved += _read(sizes[inner["name"]], uses(inner["name"]), sizes)
    placed = [x for x in body if x["opcode"] == "dynamic-update-slice"]
    whole = sum(sizes[x["name"]] for x in placed)
    parts = sum(sizes[x["operands"][1]] for x in placed)
    written = sizes[i["name"]]
    return moved + (written - whole + parts if written >= whole else written)


def _read(size: int, uses: list[dict], sizes: dict[str, int]) -> int:
    read = 0
    for use in uses:
        first = use["position"] == 0
        if first and use["opcode"] in PARTS:
            read += sizes[use["name"]]
        elif not (first and use["opcode"] == "dynamic-update-slice"):
            return size
    return min(read, size)

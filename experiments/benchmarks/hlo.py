"""What a compiled program does, read from its HLO: passes, collectives, loops, repeated draws."""

import re

COLLECTIVES = ("all-gather", "all-reduce", "all-to-all", "collective-permute", "reduce-scatter")
# Opcodes that only sampling needs: inside the loop over an image, they are repeated per position.
SAMPLING = {"bitcast-convert", "cosine", "log", "log-plus-one", "power", "sqrt"}
SAMPLING |= {"exponential", "exponential-minus-one"}
BYTES = {"pred": 1, "u8": 1, "s8": 1, "bf16": 2, "f16": 2, "u16": 2, "f32": 4, "s32": 4, "u32": 4}
_FREE = {"parameter", "tuple", "get-tuple-element", "bitcast", "constant", "copy-done", "call"}
_LINE = re.compile(r"^\s+(?:ROOT )?%?([\w.-]+) = (.*)$")
_ARRAY = re.compile(r"\b(pred|[a-z]+\d+)\[([\d,]*)\]")


class Program:
    """The text of a compiled program, cut into computations and instructions."""

    def __init__(self, compiled):
        self.text = re.sub(r", metadata=\{[^}]*\}", "", compiled.as_text())
        self.bodies, self.entry, name = {}, "", ""
        for line in self.text.splitlines():
            head = re.match(r"^(?:ENTRY )?%?([\w.-]+) .*\{$", line)
            if head and not line.startswith("HloModule"):
                name = head.group(1)
                self.bodies[name] = []
                self.entry = name if line.startswith("ENTRY") else self.entry
            elif instruction := _LINE.match(line):
                self.bodies[name].append(_parse(*instruction.groups()))
        self.fused = {i["calls"] for body in self.bodies.values() for i in body if "calls" in i}

    def instructions(self):
        """The instructions that run one by one: everything outside the bodies of fusions."""
        return [i for name, body in self.bodies.items() if name not in self.fused for i in body]

    def count(self, *opcodes):
        return sum(i["opcode"] in opcodes for body in self.bodies.values() for i in body)

    def collectives(self):
        """Kind -> bytes that it gives a device. An asynchronous one holds its operands, too."""
        found = {}
        for i in self.instructions():
            if size := gathered(i):
                kind = i["opcode"].removesuffix("-start")
                found[kind] = found.get(kind, 0) + size
        return found

    def passes(self, elements):
        """The instructions that read or write an array of at least this many elements."""
        sizes = {
            i["name"]: max((count(a) for a in i["arrays"]), default=0) for i in self.instructions()
        }
        large = lambda i: max([sizes[i["name"]], *(sizes.get(o, 0) for o in i["operands"])])
        return [i for i in self.instructions() if i["opcode"] not in _FREE and large(i) >= elements]

    def repeated(self, elements):
        """Opcodes of sampling in the fusions that make a pass over this many elements."""
        bodies = [self.bodies[i["calls"]] for i in self.passes(elements) if "calls" in i]
        return {i["opcode"] for body in bodies for i in body} & SAMPLING


def gathered(i):
    """The bytes that an instruction brings from other devices, if it is a collective."""
    sizes = list(map(bytes_of, i["arrays"]))
    if i["opcode"].removesuffix("-start") not in COLLECTIVES or not sizes:
        return 0
    return max(sizes) if i["opcode"].endswith("-start") else sum(sizes)


def count(array):
    size = 1
    for n in filter(None, array[1].split(",")):
        size *= int(n)
    return size


def bytes_of(array):
    return BYTES.get(array[0], 8) * count(array)


def _parse(name, rest):
    kind = re.match(r"^((?:\([^()]*(?:\([^()]*\)[^()]*)*\)|\S+)) ([\w-]+)\((.*)$", rest)
    shape, opcode, tail = kind.groups() if kind else ("", "", "")
    parsed = {"name": name, "opcode": opcode, "arrays": _ARRAY.findall(shape)}
    parsed["operands"] = re.findall(r"%([\w.-]+)", tail.split("), ")[0])
    if calls := re.search(r"calls=%?([\w.-]+)", tail):
        parsed["calls"] = calls.group(1)
    if cycles := re.search(r'"estimated_cycles":"(\d+)"', tail):  # on TPUs
        parsed["cycles"] = int(cycles[1])
    if opcode in ("while", "conditional", "call"):
        parsed["applies"] = re.findall(r"%([\w.-]+)", tail.split("), ", 1)[1])
        rounds = re.search(r'"known_trip_count":\{"n":"(\d+)"', tail)
        parsed["rounds"] = int(rounds[1]) if rounds else None
    return parsed

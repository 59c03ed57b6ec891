"""The authors' own code, run on small inputs, and our functions on the same draws.

Each .npz file holds inputs, the random numbers, and what the code that its `source` names gave for
them: numbers only. Images have channels last there. Where a method differs by design the test says
how, and checks what must be the same all the same.
"""

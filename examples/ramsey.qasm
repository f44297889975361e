// A qubit in superposition waits, and is turned back: ⟨Z⟩ is 1 if nothing happened to its phase.
OPENQASM 3.0;
include "stdgates.inc";
qubit[1] q;
h q[0];
delay[20us] q[0];
h q[0];

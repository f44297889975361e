"""The local runtime behind the Qiskit Runtime REST API, for the unmodified qiskit-ibm-runtime client.

Modules, from the inside out: `pace` (the clock and who simulates), `ledger` (what is remembered, also on disk),
`wire` (the API's JSON), `programs` (estimator, sampler, executor), `devices` (backends as the API describes them),
`runtime` (all of these together), `api` (the routes), `server` (the process).
"""

from __future__ import annotations

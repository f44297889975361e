"""Kinds of runs that the campaign breaks: every experiment, optimizers of every way to ask, every plan and backend."""

from __future__ import annotations

from importlib.util import find_spec

CHAIN3 = ("hamiltonian=tfim", "hamiltonian.shape=[3]", "ansatz.reps=1")
NOISY = ("backend=noisy", *CHAIN3)

CASES: dict[str, tuple[str, ...]] = {
    "cobyla": ("optimizer=cobyla", "optimizer.max_evaluations=16"),
    "spsa": ("optimizer=spsa", "optimizer.max_evaluations=20"),
    "race": ("experiment=vqe_race", "optimizer.max_evaluations=8"),
    "nelder_mead": ("optimizer=nelder_mead", "optimizer.max_evaluations=24"),
    "powell": ("optimizer=powell", "optimizer.max_evaluations=24"),
    "cobyqa": ("optimizer=cobyqa", "optimizer.max_evaluations=24"),
    "slsqp": ("optimizer=slsqp", "optimizer.max_evaluations=12"),
    "l_bfgs_b": ("optimizer=l_bfgs_b", "estimator=exact", "optimizer.max_evaluations=12"),
    "expiry": (
        "optimizer=cobyla",
        "optimizer.max_evaluations=16",
        "session.max_time=60s",
        "session.on_expiry=reopen",
    ),
    "nft": ("optimizer=nft", "optimizer.max_evaluations=25"),
    "adam": ("optimizer=adam", "optimizer.max_evaluations=12"),
    "cma_es": ("optimizer=cma_es", "optimizer.max_evaluations=24"),
    "qn_spsa": ("optimizer=qn_spsa", "optimizer.max_evaluations=12"),
    "trust_constr": ("optimizer=trust_constr", "estimator=exact", "optimizer.max_evaluations=8"),
    "tnc": ("optimizer=tnc", "estimator=exact", "optimizer.max_evaluations=10"),
    "newton_cg": ("optimizer=newton_cg", "estimator=exact", "optimizer.max_evaluations=8"),
    "bfgs_sampled": ("optimizer=bfgs", "optimizer.max_evaluations=8"),
    "batch_cobyqa": ("session=batch", "optimizer=cobyqa", "optimizer.max_evaluations=16"),
    "jobs_one_by_one": ("session=job", "optimizer=cobyla", "optimizer.max_evaluations=12"),
    "target_precision": ("estimator=target", "optimizer=spsa", "optimizer.max_evaluations=10"),
    "adapt_vqe": (
        "experiment=adapt_vqe",
        "hamiltonian=h2",
        "experiment.max_operators=2",
        "optimizer.max_evaluations=6",
    ),
    "dissociation_curve": (
        "experiment=dissociation_curve",
        "experiment.values=[0.6,0.9]",
        "optimizer.max_evaluations=6",
    ),
    "dynamics": ("experiment=dynamics", "hamiltonian.shape=[3]", "experiment.steps=8"),
    "varqite": ("experiment=varqite", "experiment.steps=3"),
    "varqite_measured": (
        "experiment=varqite",
        "hamiltonian=two_qubit",
        "ansatz=real_amplitudes",
        "ansatz.reps=1",
        "experiment.steps=3",
        "experiment.method=euler",
        "estimator=level0",
    ),
    "multi_product": (
        "experiment=dynamics",
        "hamiltonian.shape=[3]",
        "experiment.steps=4",
        "experiment.multi_product=[1,2]",
        "estimator=level0",
    ),
    "dynamics_sampled": (
        "experiment=dynamics",
        "hamiltonian.shape=[3]",
        "experiment.steps=6",
        "estimator=shots",
    ),
    "estimation": ("experiment=estimation",),
    "sampling": ("experiment=sampling",),
    "qaoa": ("experiment=qaoa", "optimizer.max_evaluations=12"),
    "qaoa_cvar": ("experiment=qaoa", "experiment.cvar=0.3", "optimizer.max_evaluations=12"),
    "vqd": (
        "experiment=vqd",
        "experiment.levels=2",
        "hamiltonian=tfim",
        "hamiltonian.shape=[2]",
        "optimizer.max_evaluations=6",
    ),
    "guide": ("experiment=session_guide", "optimizer.max_evaluations=12"),
    "noisy_cobyla": (*NOISY, "optimizer=cobyla", "optimizer.max_evaluations=12"),
    "noisy_spsa": (*NOISY, "optimizer=spsa", "optimizer.max_evaluations=10"),
    "device": (
        "backend=generic",
        "backend.num_qubits=4",
        *CHAIN3,
        "optimizer=cobyla",
        "optimizer.max_evaluations=10",
    ),
    "queued": (
        "session.queue_delay.kind=lognormal",
        "session.queue_delay.seconds=20",
        "optimizer=cobyla",
        "optimizer.max_evaluations=14",
    ),
    "expiry_noisy": (
        *NOISY,
        "optimizer=spsa",
        "optimizer.max_evaluations=16",
        "session.max_time=90s",
        "session.on_expiry=reopen",
    ),
    "level1": (*NOISY, "estimator=level1", "optimizer=spsa", "optimizer.max_evaluations=8"),
    "level2": (*NOISY, "estimator=level2", "optimizer=cobyla", "optimizer.max_evaluations=5"),
    "mitigation_ladder": ("experiment=mitigation_ladder", *CHAIN3),
    "drifting": (
        "backend=generic",
        "backend.num_qubits=4",
        "backend.quasi_static.detuning=5000",
        *CHAIN3,
        "optimizer=cobyla",
        "optimizer.max_evaluations=8",
    ),
    **(
        {"sqd": ("experiment=sqd", "hamiltonian=hydrogen", "experiment.jobs=2")}
        if all(map(find_spec, ("qiskit_addon_sqd", "ffsim", "pyscf")))
        else {}
    ),
    "skqd": ("experiment=skqd", "hamiltonian.shape=[4]", "experiment.dimension=6"),
    "krylov": ("experiment=krylov", "hamiltonian.shape=[3]", "experiment.dimension=5"),
    "kicked_ising": (
        "experiment=kicked_ising",
        "backend=generic",
        "backend.num_qubits=4",
        "backend.topology=line",
        "backend.engine=pauli",
        "experiment.depth=2",
        "experiment.points=6",
        "experiment.observables=[Z2,X1 Y2]",
        "estimator=shots",
    ),
    "fork": ("optimizer=spsa", "optimizer.max_evaluations=12"),
}
FORKS = {"fork": "cobyla"}
"""Kinds that go on from the best parameters of a finished run of another kind."""
COLD = ("guide", "sqd", "mitigation_ladder")
"""Kinds whose libraries start threads, which a forked process would miss: their trials load them themselves."""
GIVEN_UP = ("level1", "level2", "mitigation_ladder", "drifting")
"""Kinds whose simulations look for signals between their parts: one may be given up, and is begun again by `resume`."""

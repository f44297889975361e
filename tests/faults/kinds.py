"""Kinds of runs that the campaign breaks: every experiment, optimizers of every way to ask, every plan and backend."""

from __future__ import annotations

from importlib.util import find_spec

CHAIN3 = ("hamiltonian=tfim", "hamiltonian.shape=[3]", "ansatz.reps=1")
NOISY = ("backend=noisy", *CHAIN3)
PAIR = ("backend=noisy", "hamiltonian=tfim", "hamiltonian.shape=[2]", "ansatz.reps=1")
"""One layer of noise to learn."""
DEVICE = ("backend=generic", "backend.num_qubits=4", *CHAIN3)
LEARNING = (
    "estimator.layer_noise_learning.num_randomizations=8",
    "estimator.layer_noise_learning.shots_per_randomization=64",
    "estimator.layer_noise_learning.layer_pair_depths=[0,1,4]",
)
"""Less of it than the client's defaults, which take most of such a run."""

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
    "device": (*DEVICE, "optimizer=cobyla", "optimizer.max_evaluations=10"),
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
    "pec": (*PAIR, "estimator=pec", *LEARNING, "optimizer=spsa", "optimizer.max_evaluations=4"),
    "pec_device": (*DEVICE, "estimator=pec", *LEARNING, "experiment=estimation", "ansatz=efficient_su2"),
    "pea": (*PAIR, "estimator=pea", *LEARNING, "optimizer=cobyla", "optimizer.max_evaluations=4"),
    "final": (
        *NOISY,
        "estimator=level1",
        "estimator.final=level2",
        "optimizer=cobyla",
        "optimizer.max_evaluations=6",
    ),
    "final_pec": (
        *PAIR,
        "estimator=level0",
        "estimator.final=pec",
        *LEARNING,
        "optimizer=cobyla",
        "optimizer.max_evaluations=6",
    ),
    "mitigation_ladder": ("experiment=mitigation_ladder", *DEVICE, *LEARNING),
    "drifting": (
        *DEVICE,
        "backend.quasi_static.detuning=5000",
        "optimizer=cobyla",
        "optimizer.max_evaluations=8",
    ),
    **(
        {
            "sqd": ("experiment=sqd", "hamiltonian=hydrogen", "experiment.jobs=2"),
            "sqd_device": (
                "experiment=sqd",
                "hamiltonian=hydrogen",
                "experiment.jobs=2",
                "backend=generic",
                "backend.num_qubits=8",
            ),
        }
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
STOPS: dict[str, tuple[str, ...]] = {
    "stopped": ("optimizer=cobyla", "optimizer.max_evaluations=12", "session.max_time=90s"),
    "stopped_batch": (
        "session=batch",
        "optimizer=spsa",
        "optimizer.max_evaluations=10",
        "session.max_time=90s",
    ),
    "stopped_nft": ("optimizer=nft", "optimizer.max_evaluations=25", "session.max_time=3m"),
    "stopped_adam": ("optimizer=adam", "optimizer.max_evaluations=6", "session.max_time=15m"),
    "stopped_race": ("experiment=vqe_race", "optimizer.max_evaluations=6", "session.max_time=2m"),
}
"""Kinds whose session ends before they do: they stop, and going on is what is broken."""
FORKS = {"fork": "cobyla"}
"""Kinds that go on from the best parameters of a finished run of another kind."""
MITIGATED = ("level1", "level2", "pec", "pec_device", "pea", "final", "final_pec", "mitigation_ladder")
COUNTED: dict[str, tuple[tuple[str, ...], int]] = {
    "runs with errors mitigated: levels 1 and 2, PEC, PEA, a final energy, the ladder": (MITIGATED, 200),
    "`sqd`, of an ideal and of a noisy device": (("sqd", "sqd_device"), 50),
    "`skqd`": (("skqd",), 50),
    "`krylov`": (("krylov",), 50),
    "`kicked_ising`": (("kicked_ising",), 50),
    "`varqite`, with exact and with measured tensors": (("varqite", "varqite_measured"), 50),
    "`dynamics`, exact and sampled, with multi-product formulas": (
        ("dynamics", "dynamics_sampled", "multi_product"),
        50,
    ),
}
"""Kinds whose kills are counted together → which, and how many there are at least in a whole campaign."""
COLD = ("guide", "mitigation_ladder")
"""Kinds whose libraries start threads, which a forked process would miss: their trials load them themselves."""


def kills_of(cases: list[str], total: int) -> dict[str, int]:
    """How often each kind is killed, so that there are so many together, and enough of those that are counted."""
    share = -(-total // len(cases))
    number = dict.fromkeys(cases, share)
    for kinds, least in COUNTED.values():
        here = [kind for kind in kinds if kind in number]
        for kind in here:
            number[kind] = max(share, -(-least // len(here)))
    return number

"""What people type who know it from elsewhere, and what is typed here: one table, for refusals and for `--help`.

Nothing is taken for what it may have been meant as: the answer names the exact word, and nothing else is run.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from runner.declare.backend import snapshots
from runner.declare.checks import plain
from runner.declare.config import CONF, GROUPS

_DEVICE = re.compile(r"(?P<kind>fake|ibmq?)_?(?P<name>(?!q?$|m?$)[a-z][a-z0-9_]*)")
"""A device of IBM's, `ibm_torino`, or its snapshot: `fake_torino`, in the client `FakeTorino`."""

ALIASES: dict[str, tuple[str, ...]] = {
    "estimator=exact": ("exact_estimator", "statevector", "analytic", "no_shots", "noiseless"),
    "backend=ideal": ("aer", "aer_simulator", "qasm_simulator", "basic_simulator", "simulator", "noiseless"),
    "backend=ideal estimator=exact": (
        "statevector", "statevector_simulator", "aer_simulator_statevector", "statevector_estimator",
    ),
    "backend=noisy": ("noise", "noise_model", "depolarizing", "density_matrix", "aer_simulator_density_matrix"),
    "backend=generic": ("generic_backend_v2", "fake_generic"),
    "backend=best": ("best_backend", "least_errors", "fidelity"),
    "backend=ibm": ("ibmq", "ibm_quantum", "real", "hardware", "qpu", "qiskit_runtime"),
    "backend=device backend.device=fake_torino": ("fake", "fake_backend", "snapshot"),
    "estimator=shots": ("sampled", "shot_noise"),
    "estimator.default_shots": ("shots", "num_shots", "n_shots", "number_of_shots"),
    "estimator.default_precision": ("precision",),
    "estimator.target_stddev": ("stddev", "target_precision", "accuracy"),
    "optimizer=l_bfgs_b": ("lbfgs", "l_bfgs"),
    "optimizer=nelder_mead": ("simplex", "amoeba"),
    "optimizer=nft": ("rotosolve", "smo", "nakanishi_fujii_todo"),
    "optimizer=adam": ("gradient_descent", "sgd", "amsgrad"),
    "optimizer=cma_es": ("cma", "cmaes"),
    "optimizer=cg": ("conjugate_gradient",),
    "optimizer=tnc": ("truncated_newton",),
    "optimizer=spsa": ("simultaneous_perturbation",),
    "optimizer=trust_constr": ("trust_region",),
    "optimizer=qn_spsa": ("natural_gradient", "quantum_natural_gradient", "qng"),
    "optimizer.max_evaluations": (
        "maxiter", "max_iter", "max_iterations", "maxfev", "maxfun", "max_fun", "max_evals", "maxeval", "evaluations",
        "budget",
    ),
    "optimizer.max_shots": ("budget", "shot_budget", "total_shots", "max_total_shots"),
    "session.max_cost": ("budget", "max_price", "cost_limit", "money", "max_usd"),
    "session.max_usage": ("budget", "usage_limit", "max_qpu_time"),
    "optimizer.tolerance": ("tol",),
    "optimizer.learning_rate": ("lr", "step_size"),
    "optimizer": ("minimizer", "algorithm"),
    "optimizer.target_energy": ("stop_energy", "goal"),
    "gradient": ("jac", "grad"),
    "ansatz=efficient_su2": ("su2", "hardware_efficient", "hea"),
    "ansatz=uccsd": ("ucc", "uccsd_ansatz"),
    "ansatz=n_local": ("two_local",),
    "ansatz=hartree_fock": ("hf",),
    "ansatz=file": ("qasm", "openqasm", "qpy"),
    "ansatz": ("circuit",),
    "ansatz.reps": ("layers", "num_layers", "depth", "repetitions"),
    "ansatz.initial": ("initial_point", "start"),
    "ansatz.initial_values": ("x0", "parameters", "theta"),
    "ansatz.qubits": ("num_qubits", "n_qubits", "nqubits"),
    "hamiltonian=h2": ("hydrogen_molecule", "dihydrogen"),
    "hamiltonian=tfim": ("ising", "transverse_field_ising"),
    "hamiltonian=hubbard": ("fermi_hubbard",),
    "hamiltonian=maxcut": ("graph",),
    "hamiltonian=sk": ("sherrington_kirkpatrick",),
    "hamiltonian": ("observable", "operator", "problem", "molecule"),
    "hamiltonian.bond_length": ("distance", "bond_distance"),
    "experiment=vqe": ("ground_state",),
    "experiment=vqd": ("excited_states", "ssvqe"),
    "experiment=adapt_vqe": ("adapt",),
    "experiment=varqite": ("qite", "imaginary_time"),
    "experiment=dynamics": ("trotter", "time_evolution"),
    "experiment=sampling": ("sampler",),
    "experiment=estimation": ("estimate",),
    "experiment.values": ("distances", "bond_lengths"),
    "session.max_time": ("time_limit", "max_session_time"),
    "session=job": ("job_mode", "no_session"),
    "session.price_per_second": ("price",),
    "backend.threads": ("max_parallel_threads", "n_jobs", "num_threads"),
    "estimator.resilience_level": ("resilience",),
    "tracking=off": ("no_tracking", "offline"),
    "tracking": ("mlflow",),
    "tracking.uri": ("tracking_uri", "mlflow_uri"),
    "tracking.experiment": ("experiment_name",),
    "run.figures": ("plots", "plot"),
    "seed": ("random_seed", "seed_simulator", "rng"),
    "name": ("run_name",),
    "hydra.run.dir": ("output_dir", "outdir", "directory", "output"),
    "list": ("ls", "runs"),
    "sessions": ("workloads", "batches", "usage"),
    "inspect": ("show", "info", "cat"),
    "compare": ("diff",),
    "resume": ("continue", "restart"),
    "ui": ("mlflow_ui", "browser", "dashboard"),
    "forecast": ("cost", "dry_run"),
    "forecast backend=ibm": ("account", "no_account"),
}  # fmt: skip
"""What to type → what is typed instead by those who know it under another name."""


OTHERS = ("seed", "name", "gradient", "run", "hydra")
"""First parts of keys that are no groups."""

_MEANT: dict[str, dict[str, None]] = {}
for _typed, _others in ALIASES.items():
    for _other in _others:
        _MEANT.setdefault(plain(_other), {})[_typed] = None


def meant(word: str) -> list[str]:
    """What to type for a word that is none here: choices, keys, groups or verbs, as they are typed."""
    return list(_MEANT.get(plain(word), ())) or _device(word.lower())


def choice_meant(group: str, word: str, choices: Mapping[str, Sequence[str]]) -> str:
    """What to type for `group=word`, where the group has no such choice; empty where nobody knows.

    Args:
        group: config group.
        word: what was typed for it.
        choices: group → its choices.
    """
    known = [text for text in meant(word) if "=" in text]
    own = [text for text in known if f" {group}=" in f" {text}"]
    everywhere = named(word, choices) if plain(word) else []
    here = [text for text in everywhere if text.startswith(f"{group}=")]
    return next(iter((*here, *own, *everywhere, *known)), "")


def key_meant(key: str) -> str:
    """The key to type for one that is unknown; empty where nobody knows."""
    group, _, name = key.rpartition(".")
    known = [text for text in meant(name) if "=" not in text and text.partition(".")[0] in (*GROUPS, *OTHERS)]
    return next(iter((*(text for text in known if text.startswith(f"{group}.")), *known)), "")


def word_meant(word: str, following: str | None = None) -> str:
    """What to type for the first word of a line, which is no verb; empty where nobody knows.

    Args:
        word: e.g. `experiment`, `vqe`, `SPSA`.
        following: the word after it, e.g. `vqe`.
    """
    if ":" in word:
        word, _, following = word.partition(":")
    group = next((name for name in GROUPS if plain(name) == plain(word)), None)
    if group and following and "=" not in following:
        return choice_meant(group, following, choices()) or f"{group}={following}"
    if group:
        return f"{group}=…"
    return " or ".join(
        named(word, choices())
        or [f"{text}=…" if "." in text and "=" not in text else text for text in meant(word)]
    )


def flag_meant(flag: str, settings: Collection[str]) -> str:
    """What to type for a flag that there is not, where it is a setting or a choice; empty where nobody knows.

    Args:
        flag: e.g. `--experiment`, `--exact`, `--shots`.
        settings: those that verbs have of their own.
    """
    word = flag.lstrip("-").replace("-", "_")
    if word in settings or word in OTHERS or "." in word:
        return f"{word}=…"
    typed = word_meant(word)
    return typed if "=" in typed else ""


def named(word: str, choices: Mapping[str, Sequence[str]]) -> list[str]:
    """`group=choice` for every choice of that name, however it is written."""
    return [f"{group}={name}" for group in choices for name in choices[group] if plain(name) == plain(word)]


def choices() -> dict[str, list[str]]:
    """Group → the choices of conf/, without those of plug-ins and other folders."""
    return {group: sorted(path.stem for path in (CONF / group).glob("*.yaml")) for group in GROUPS}


def _device(word: str) -> list[str]:
    """What to type for the name of a machine or of its snapshot."""
    found = _DEVICE.fullmatch(word)
    if found is None:
        return []
    snapshot = f"fake_{found['name']}"
    ways = [f"backend=ibm backend.name=ibm_{found['name']}"] if found["kind"] != "fake" else []
    if snapshot in (snapshots() or [snapshot]):
        ways.append(f"backend=device backend.device={snapshot}")
    return [" or ".join(ways)] if ways else []
